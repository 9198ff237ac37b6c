"""Stopped at any moment, a run goes on from what was finished, and ends with the same bytes."""

from __future__ import annotations

import csv
import itertools
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Clone
from tests.e2e.lab import lab_clone, stored_items, work_done

pytestmark = pytest.mark.e2e

DIALOGUES = 30
TOTAL = DIALOGUES + 5  # of the demo corpus
KILLS = {"worker": 8, "stage": 5, "dvc": 6}
LAST_KILL = "stage"
REPRO = ("dvc", "repro", "audio@demo")
SOUND = Path("data/demo/audio.h5")


@pytest.fixture(scope="module")
def corpus(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of many dialogues, each three of the same few clips."""
    folder = Path(shutil.copytree(demo_root, tmp_path_factory.mktemp("kill") / "corpus"))
    table, clips = folder / "train_sent_emo.csv", folder / "train_splits"
    head, example, *_ = csv.reader(table.read_text(encoding="utf-8").splitlines())
    dialogue, utterance = head.index("Dialogue_ID"), head.index("Utterance_ID")
    sound = [*sorted(folder.glob("dev_*/*.mp4")), *sorted(folder.glob("output_*/*.mp4"))]
    sound += [clips / "dia0_utt0.mp4", clips / "dia0_utt1.mp4", clips / "dia1_utt0.mp4"]
    # The demo's own dialogues have two utterances each, so that no two dialogues are one item.
    triples = list(itertools.permutations(sound, 3))[:DIALOGUES]
    with table.open("a", encoding="utf-8", newline="") as file:
        for number, triple in enumerate(triples, start=100):
            for place, clip in enumerate(triple):
                row = list(example)
                row[dialogue], row[utterance] = str(number), str(place)
                csv.writer(file).writerow(row)
                shutil.copy(clip, clips / f"dia{number}_utt{place}.mp4")
    return folder


def processes_of(run: subprocess.Popen[str]) -> dict[str, list[psutil.Process]]:
    """The living processes of a run, whoever their parent is now: DVC, the stage, its workers, others."""
    found: dict[str, list[psutil.Process]] = {"dvc": [], "stage": [], "worker": [], "other": []}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == run.pid and process.status() != psutil.STATUS_ZOMBIE:
                found[_role(process, run.pid)].append(process)
    return found


def _role(process: psutil.Process, dvc: int) -> str:
    command = process.cmdline()
    if process.pid == dvc:
        return "dvc"
    if command[1:4] == ["-m", "stages", "audio"]:
        return "stage"
    return "worker" if any("spawn_main" in word for word in command) else "other"


def wait_for(run: subprocess.Popen[str], role: str) -> list[psutil.Process]:
    """The processes of a role, once they run; none if the run ends before."""
    while run.poll() is None:
        found = processes_of(run)
        # A dialogue whose worker died is tried again by one worker, and it may die only once.
        if len(found[role]) >= (2 if role == "worker" else 1) and (role == "dvc" or found["stage"]):
            return found[role]
        time.sleep(0.05)
    return []


def end_of(run: subprocess.Popen[str]) -> str:
    """What a run that was stopped printed; all its processes must end, within seconds."""
    printed, _ = run.communicate(timeout=30)  # returns when all of them have let go of the pipe
    _, alive = psutil.wait_procs([p for found in processes_of(run).values() for p in found], timeout=30)
    assert alive == []
    return printed


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kill") / "store"


@pytest.fixture(scope="module")
def clone(corpus: Path, store: Path) -> Clone:
    """The one whose runs are stopped."""
    return lab_clone(store.parent / "clone", corpus, store, MULTIEMO_WORKERS="2")


def forget(clone: Clone, store: Path) -> None:
    """Let the next run begin at the beginning: DVC too remembers what was made of what."""
    (clone.root / SOUND).unlink(missing_ok=True)
    (clone.root / "dvc.lock").unlink(missing_ok=True)
    for folder in (clone.root / ".dvc" / "cache", store / "audio"):
        shutil.rmtree(folder, ignore_errors=True)


def test_twenty_kills_cost_nothing_but_time(clone: Clone, store: Path, corpus: Path, tmp_path: Path) -> None:
    calm = lab_clone(tmp_path / "calm", corpus, tmp_path / "store", MULTIEMO_WORKERS="2")
    calm.run(*REPRO)
    chance = random.Random(0)
    kills = [role for role, times in KILLS.items() for _ in range(times)]
    chance.shuffle(kills)
    kills.append(LAST_KILL)
    assert len(kills) == 20
    while kills:
        finished = len(stored_items(store))
        run = clone.start(*REPRO)
        stopped = False
        while kills and not stopped and wait_for(run, kills[0]):
            # A moment by how far the work is, so that it means the same on a slow machine.
            enough = len(stored_items(store)) + chance.randrange(6)
            while run.poll() is None and len(stored_items(store)) < enough:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.5))
            if targets := wait_for(run, kills[0]):
                with suppress(psutil.NoSuchProcess):
                    chance.choice(targets).kill()
                    stopped = kills.pop(0) != "worker"
        printed = end_of(run)
        assert set(work_done(printed).values()) <= {f"{TOTAL - finished} of {TOTAL}"}
        if run.returncode == 0:
            forget(clone, store)
        else:
            assert stopped, printed
    clone.run(*REPRO)
    assert (clone.root / SOUND).read_bytes() == (calm.root / SOUND).read_bytes()
    assert stored_items(store) == stored_items(tmp_path / "store")


def test_ctrl_c_stops_a_run_with_all_its_processes_and_the_next_one_goes_on(
    clone: Clone, store: Path
) -> None:
    forget(clone, store)
    run = clone.start(*REPRO)
    while not stored_items(store):
        assert run.poll() is None
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)  # a terminal tells every process of the group
    printed = end_of(run)
    assert run.returncode != 0
    assert "audio: stopped; dvc repro goes on from what is kept" in printed
    assert "Traceback" not in printed
    finished = len(stored_items(store))
    assert work_done(clone.run(*REPRO)) == {"audio": f"{TOTAL - finished} of {TOTAL}"}
