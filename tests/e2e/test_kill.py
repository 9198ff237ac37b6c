"""Killed at any moment, a run goes on from what was finished, and ends with the same bytes."""

from __future__ import annotations

import csv
import itertools
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.lab import LabClone, lab_clone, work_done

pytestmark = pytest.mark.e2e

DIALOGUES = 40
KILLS = 20


@pytest.fixture(scope="module")
def corpus(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of many dialogues, all pairs of a few clips."""
    folder = Path(shutil.copytree(demo_root, tmp_path_factory.mktemp("kill") / "corpus"))
    table, clips = folder / "train_sent_emo.csv", folder / "train_splits"
    head, example, *_ = csv.reader(table.read_text(encoding="utf-8").splitlines())
    where = {name: head.index(name) for name in ("Dialogue_ID", "Utterance_ID")}
    sound = [*sorted(folder.glob("dev_*/*.mp4")), *sorted(folder.glob("output_*/*.mp4"))]
    sound += [clips / "dia0_utt0.mp4", clips / "dia0_utt1.mp4", clips / "dia1_utt0.mp4"]
    with table.open("a", encoding="utf-8", newline="") as file:
        for number, pair in enumerate(
            itertools.islice(itertools.permutations(sound, 2), DIALOGUES), start=100
        ):
            for place, clip in enumerate(pair):
                row = list(example)
                row[where["Dialogue_ID"]], row[where["Utterance_ID"]] = str(number), str(place)
                csv.writer(file).writerow(row)
                shutil.copy(clip, clips / f"dia{number}_utt{place}.mp4")
    return folder


@pytest.fixture
def clones(corpus: Path, tmp_path: Path) -> Iterator[tuple[LabClone, LabClone]]:
    """Two clones with a store each."""
    yield (
        lab_clone(tmp_path / "calm", corpus, tmp_path / "calm_store", MULTIEMO_WORKERS="2"),
        lab_clone(tmp_path / "killed", corpus, tmp_path / "killed_store", MULTIEMO_WORKERS="2"),
    )


def is_stage(process: psutil.Process) -> bool:
    return "stages" in process.cmdline()


def victims(run: psutil.Process) -> dict[str, list[psutil.Process]]:
    """What can be killed of a run: DVC, the stage, its workers."""
    found: dict[str, list[psutil.Process]] = {"dvc": [run], "stage": [], "worker": []}
    for process in run.children(recursive=True):
        try:
            if is_stage(process):
                found["stage"].append(process)
            elif "loky" in " ".join(process.cmdline()) and "tracker" not in " ".join(process.cmdline()):
                found["worker"].append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_twenty_kills_cost_nothing_but_time(clones: tuple[LabClone, LabClone]) -> None:
    calm, killed = clones
    calm.run("dvc", "repro", "audio@demo")
    chance = random.Random(0)
    kills = dict.fromkeys(("dvc", "stage", "worker"), 0)
    stored, descendants = 0, set()
    while sum(kills.values()) < KILLS:
        run = (
            killed.start("dvc", "repro", "--force", "--single-item", "audio@demo")
            if (killed.root / "data/demo/audio.h5").exists()
            else killed.start("dvc", "repro", "audio@demo")
        )
        whole = psutil.Process(run.pid)
        kind = min(kills, key=lambda name: (kills[name], name))
        deadline = time.monotonic() + chance.uniform(1.0, 6.0)
        while run.poll() is None and (time.monotonic() < deadline or not victims(whole)[kind]):
            time.sleep(0.02)
        if run.poll() is None:
            descendants |= set(whole.children(recursive=True))
            target = chance.choice(victims(whole)[kind] or [whole])
            target.kill()
            kills[kind] += 1
        printed, _ = run.communicate()
        for counts in work_done(printed).values():
            todo, total = map(int, counts.split(" of "))
            assert total - todo >= stored, "finished work was lost"
            stored = total - todo
        if run.returncode == 0 and stored == DIALOGUES + 5:
            shutil.rmtree(killed.root.parent / "killed_store" / "audio")  # once more from the start
            stored = 0
    _, alive = psutil.wait_procs(descendants, timeout=20)
    assert alive == []
    killed.run("dvc", "repro", "--force", "audio@demo")
    name = "data/demo/audio.h5"
    assert (killed.root / name).read_bytes() == (calm.root / name).read_bytes()
    left = [path for path in (killed.root / "data").rglob(".*") if path.is_file()]
    assert left == []
