from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.corpora import meld
from pipeline.corpora.demo.corpus import build_demo_corpus
from pipeline.corpora.demo.group import write_group
from pipeline.manifest import Medium
from pipeline.media.probes import examine_file
from pipeline.params import DemoParams
from stages.manifest import describe

# The processes of pytest-xdist have a core each: threads that wait for one another would halve their speed.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    """Let what tests start be stopped by Ctrl-C: what a shell runs in the background ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the long runs of DVC, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo corpus with its faulty clips: three training dialogues, one each for dev and test."""
    params = DemoParams(train_dialogues=3, dev_dialogues=1, test_dialogues=1, utterances_per_dialogue=2)
    return make_once(tmp_path_factory, "demo", lambda root: build_demo_corpus(params, root, workers=2))


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that ``make`` fills, one for all processes of pytest-xdist: making it takes long."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    folder = factory.getbasetemp().parent if parallel else factory.mktemp(name)
    root, made = folder / name, folder / f"{name}.made"
    with FileLock(folder / f"{name}.lock"):
        if not made.exists():
            make(root)
            made.touch()
    return root


@pytest.fixture(scope="session")
def demo_media(demo_root: Path) -> dict[str, Medium]:
    """Utterance id -> its row of media.csv."""
    annotations = meld.read(demo_root, meld.Params()).annotations
    probed = {row.media: examine_file(demo_root / row.media) for row in annotations}
    return {row.utterance.id: describe(row, probed) for row in annotations}


@pytest.fixture(scope="session")
def sound_clip(demo_media: dict[str, Medium]) -> Medium:
    """A clip with nothing wrong."""
    return demo_media["dev_dia0_utt0"]


@pytest.fixture
def lab_folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def group_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of several people: one mimes another line, a cut, the speaker is not seen."""
    return make_once(tmp_path_factory, "group", lambda root: write_group(root, (2, 4, 6)))
