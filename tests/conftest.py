from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
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
    # The processes of pytest-xdist share one: making it takes long.
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("raw")
    root, made = folder / "demo", folder / "demo.made"
    with FileLock(folder / "demo.lock"):
        if not made.exists():
            params = DemoParams(
                train_dialogues=3, dev_dialogues=1, test_dialogues=1, utterances_per_dialogue=2
            )
            build_demo_corpus(params, root, workers=2)
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
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("groups")
    root, made = folder / "group", folder / "group.made"
    with FileLock(folder / "group.lock"):
        if not made.exists():
            write_group(root, (2, 4, 6))
            made.touch()
    return root
