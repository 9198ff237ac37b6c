from __future__ import annotations

import fcntl
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Timer

import numpy as np
import psutil
import pytest

from pipeline.encoders.audio import opensmile
from pipeline.encoders.audio_vectors import describe_audio_of_dialogue
from pipeline.errors import UserError
from pipeline.store.code import PACKAGES, PROJECT
from pipeline.store.h5 import Arrays
from pipeline.store.items import ItemStore
from pipeline.work import extraction, progress
from pipeline.work.engine import deaths_error
from pipeline.work.extraction import Item, extract, modules_of, stack, summarise, wait_for_item
from pipeline.work.lifetime import stopped_by_signals
from pipeline.work.processes import WorkerDied


def square(number: int, log: Path) -> Arrays:
    with log.open("a") as file:
        file.write(f"{number}\n")
    return {"features": np.full((number, 2), number**2, np.float32), "reason": np.array([""] * number)}


def die_at(number: int, culprits: set[int], deaths: Path) -> Arrays:
    """Like a decoder that crashes: the process is gone, in the middle of some numbers."""
    if number in culprits:
        with deaths.open("a") as file:
            file.write(f"{number}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return {"features": np.full((number, 2), number**2, np.float32), "reason": np.array([""] * number)}


def die_once(number: int, deaths: Path) -> Arrays:
    """Dies at 3, the first time."""
    return die_at(number, set() if deaths.exists() else {3}, deaths)


def exhaust_memory(number: int) -> Arrays:
    """At 3, like a picture too large for the machine."""
    if number == 3:
        np.empty(10**15)
    return {"features": np.full((number, 2), number**2, np.float32), "reason": np.array([""] * number)}


def exhaust_memory_in_torch(number: int) -> Arrays:
    import torch

    if number == 3:
        torch.empty(10**15)
    return exhaust_memory(number)


def find_gpu_taken(number: int) -> Arrays:
    """What PyTorch raises where a GPU in compute mode EXCLUSIVE_PROCESS has its process."""
    import torch

    raise torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable\nCUDA kernel")


def fill_disk(number: int) -> Arrays:
    """Before 3 is stored: a limit on the size of files meets a writer as a failing disk does."""
    if number == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    return {"features": np.full((number, 2), number**2, np.float32), "reason": np.array([""] * number)}


def unobserved(item: Item, reason: str) -> Arrays:
    return {
        "features": np.zeros((item.utterances, 2), np.float32),
        "reason": np.array([reason] * item.utterances),
    }


def sleep_long(number: int, started: Path) -> Arrays:
    (started / str(number)).touch()
    time.sleep(60)
    return {}


def run_sleepers(started: str) -> None:
    """What the subprocess of a test runs."""
    try:
        with stopped_by_signals():
            list(extract("sleepers", items([1, 2]), partial(sleep_long, started=Path(started)), workers=2))
    except KeyboardInterrupt:
        sys.exit(130)


def items(numbers: list[int]) -> list[Item]:
    return [
        Item(key=f"{number:064x}", dialogue=f"d{number}", utterances=number, work=number)
        for number in numbers
    ]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)


def run(numbers: list[int], workers: int = 1) -> tuple[list[Arrays], list[int]]:
    """The results, and which numbers were computed for them, in which order."""
    log = Path("calls.txt").resolve()
    log.write_text("")
    parts = list(extract("squares", items(numbers), partial(square, log=log), workers=workers))
    return parts, [int(line) for line in log.read_text().split()]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_only_new_work_is_done(workers: int, capfd: pytest.CaptureFixture) -> None:
    parts, computed = run([1, 4, 2], workers)
    assert [part["features"].shape for part in parts] == [(1, 2), (4, 2), (2, 2)]
    assert sorted(computed) == [1, 2, 4]
    assert "squares: 3 of 3 dialogues to do, 0 stored" in capfd.readouterr().out
    parts, computed = run([4, 3, 1], workers)
    assert [part["features"][0, 0] for part in parts] == [16, 9, 1]
    assert computed == [3]
    assert "squares: 1 of 3 dialogues to do, 2 stored" in capfd.readouterr().out
    assert run([1, 4], workers)[1] == []


def test_dialogues_with_the_same_content_are_done_once(capfd: pytest.CaptureFixture) -> None:
    parts, computed = run([2, 3, 2, 2])
    assert [part["features"].shape for part in parts] == [(2, 2), (3, 2), (2, 2), (2, 2)]
    assert sorted(computed) == [2, 3]
    printed = capfd.readouterr().out
    assert "squares: 2 of 4 dialogues to do, 0 stored, 2 the same as another" in printed
    assert "squares: 2/2 dialogues, 5/5 utterances" in printed


def test_an_item_that_a_file_server_shows_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ItemStore(tmp_path / ".multiemo" / "store", "squares")
    (item,) = items([3])
    run([3])
    path = store.path(item.key)
    path.rename(tmp_path / "unseen")
    Timer(0.7, (tmp_path / "unseen").rename, [path]).start()
    assert wait_for_item(item.key, store)["features"].shape == (3, 2)
    path.unlink()
    monkeypatch.setattr(extraction, "UNSEEN_AT_MOST_S", 0.1)
    with pytest.raises(UserError, match=f"{path} vanished or was damaged during the run; run dvc"):
        wait_for_item(item.key, store)


def test_long_dialogues_start_first() -> None:
    assert run([1, 5, 3])[1] == [5, 3, 1]


def test_parts_are_stacked_and_no_part_gives_an_empty_table() -> None:
    empty = {"features": np.empty((0, 2), np.float32), "reason": np.empty(0, str)}
    stacked = stack(run([1, 2])[0], empty)
    assert stacked["features"][:, 0].tolist() == [1, 4, 4]
    assert stack([], empty)["features"].shape == (0, 2)


def test_too_many_unobserved_utterances_stop_the_stage_with_the_reasons(
    capsys: pytest.CaptureFixture,
) -> None:
    ids = [f"utt{number}" for number in range(20)]
    reasons = np.array([""] * 18 + ["clip missing", "silent"])
    summarise("audio", "audio", ids, reasons, limit=0.1)
    assert "18 of 20 utterances observed (not: 1 clip missing; 1 silent)" in capsys.readouterr().out
    share = r"2 of 20 utterances lack audio \(10.0%\), more than max_unobserved.audio: 0.05"
    with pytest.raises(UserError, match=rf"{share} .* utt18, utt19$"):
        summarise("audio", "audio", ids, reasons, limit=0.05)


def test_of_many_reasons_the_most_frequent_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = np.array([f"frame {place // 2} cannot be decoded" for place in range(999)])
    summarise("faces", "visual", [str(place) for place in range(999)], reasons, limit=1.0)
    printed = capsys.readouterr().out
    assert "(not: 2 frame 0 cannot be decoded; " in printed
    assert printed.endswith("; and 490 other reasons)\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_dialogues_whose_workers_die_twice_stop_the_stage_once_all_others_are_kept(
    workers: int, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    deaths = tmp_path / "deaths"
    work = items([1, 2, 3, 4, 5])
    crash = partial(die_at, culprits={4, 5}, deaths=deaths)
    both = r"died twice at d4 \(killed by SIGKILL\), d5 \(killed by SIGKILL\); all other dialogues are kept"
    advice = r"dvc repro tries these again.* with MULTIEMO_ACCEPT_FAILURES=1 it quarantines"
    with pytest.raises(UserError, match=rf"{both}\. {advice}"):
        list(extract("squares", work, crash, workers=workers, stand_in=unobserved))
    assert sorted(deaths.read_text().split()) == ["4", "4", "5", "5"]
    assert "a worker died at d4 (killed by SIGKILL); it will be tried again alone" in capfd.readouterr().out
    parts, computed = run([1, 2, 3, 4, 5], workers)
    assert [part["features"][0, 0] for part in parts] == [1, 4, 9, 16, 25]
    assert sorted(computed) == [4, 5]


def test_of_many_dialogues_that_are_not_done_five_are_named() -> None:
    deaths = {f"d{number}": WorkerDied("out of memory") for number in range(7)}
    five = ", ".join(f"d{number} (out of memory)" for number in range(5))
    message = str(deaths_error("dialogues", deaths))
    assert message.startswith(f"workers died twice at {five} and 2 more; all other dialogues are kept. dvc")


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_that_are_accepted_have_a_stand_in_and_are_tried_again_by_the_next_run(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTIEMO_ACCEPT_FAILURES", "1")
    crash = partial(die_at, culprits={3, 4}, deaths=tmp_path / "deaths")
    parts = list(extract("squares", items([1, 2, 3, 4, 5]), crash, workers=workers, stand_in=unobserved))
    assert [part["features"][0, 0] for part in parts] == [1, 4, 0, 0, 25]
    assert parts[2]["reason"].tolist() == ["worker died twice: killed by SIGKILL"] * 3
    parts, computed = run([1, 2, 3, 4, 5], workers)
    assert [part["features"][0, 0] for part in parts] == [1, 4, 9, 16, 25]
    assert sorted(computed) == [3, 4]


def test_a_value_that_does_not_say_whether_failures_are_accepted_stops_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MULTIEMO_ACCEPT_FAILURES", "yes")
    with pytest.raises(UserError, match="MULTIEMO_ACCEPT_FAILURES=yes: set it to 1, or not at all"):
        run([1])
    assert Path("calls.txt").read_text() == ""


@pytest.mark.parametrize("exhaust", [exhaust_memory, exhaust_memory_in_torch])
def test_an_item_that_needs_more_memory_than_there_is_costs_itself_alone(
    exhaust: Callable[[int], Arrays], capfd: pytest.CaptureFixture
) -> None:
    with pytest.raises(UserError, match=r"died twice at d3 \(out of memory\); all other dialogues are kept"):
        list(extract("squares", items([1, 2, 3, 4]), exhaust, workers=1, stand_in=unobserved))
    assert run([1, 2, 4])[1] == []
    assert "a worker died at d3 (out of memory); it will be tried again alone" in capfd.readouterr().out


def test_a_gpu_that_admits_one_process_only_is_an_error_that_says_what_to_set() -> None:
    with pytest.raises(UserError, match=r"no other process \(.* busy or unavailable\); set MULTIEMO_WORKERS"):
        list(extract("taken", items([1]), find_gpu_taken, workers=1, stand_in=unobserved))


def test_an_item_whose_worker_was_killed_by_chance_is_done_the_second_time(tmp_path: Path) -> None:
    crash = partial(die_once, deaths=tmp_path / "deaths")
    parts = list(extract("squares", items([1, 2, 3]), crash, workers=2, stand_in=unobserved))
    assert [part["features"][0, 0] for part in parts] == [1, 4, 9]


def test_a_disk_that_fails_stops_the_stage_and_loses_nothing_that_was_finished() -> None:
    with pytest.raises(UserError, match=r"item store: .*cannot be written \(File too large\)"):
        list(extract("squares", items([5, 4, 3, 2]), fill_disk, workers=1, stand_in=unobserved))
    assert run([5, 4, 3, 2])[1] == [3, 2]


def start_sleepers(tmp_path: Path) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """A run whose workers all sleep in the middle of an item, and all processes that it started."""
    started = tmp_path / "started"
    started.mkdir()
    code = f"from tests.work.test_extraction import run_sleepers; run_sleepers({str(started)!r})"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(PROJECT)}, start_new_session=True
    )
    while len(list(started.iterdir())) < 2:
        assert parent.poll() is None
        time.sleep(0.05)
    return parent, psutil.Process(parent.pid).children(recursive=True)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_a_run_is_stopped_its_processes_end_within_seconds(stop: int, tmp_path: Path) -> None:
    parent, children = start_sleepers(tmp_path)
    assert len(children) >= 2
    if stop == signal.SIGINT:
        os.killpg(parent.pid, stop)  # Ctrl-C reaches every process of a terminal's group
    else:
        os.kill(parent.pid, stop)
    assert parent.wait(10) == (-9 if stop == signal.SIGKILL else 130)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_log_file_gets_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)
    with progress.Progress("squares", dialogues=3, utterances=6) as bar:
        for utterances in (3, 2, 1):
            bar.advance(dialogues=1, utterances=utterances)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "squares: 1/3 dialogues, 3/6 utterances, 00:00 left",
        "squares: 2/3 dialogues, 5/6 utterances, 00:00 left",
        "squares: 3/3 dialogues, 6/6 utterances, 00:00 elapsed",
    ]


def test_what_an_earlier_run_has_done_says_nothing_of_the_time_that_is_left(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    with progress.Progress("train", epochs=100) as bar:
        bar.resume(epochs=90)
        bar.advance("loss 0.5", epochs=1)
        bar.advance(epochs=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "train: 91/100 epochs, 01:30 left, loss 0.5",
        "train: 92/100 epochs, 01:20 left",
        "train: 92/100 epochs, 00:30 elapsed",
    ]


def test_a_terminal_gets_a_bar_with_dialogues_utterances_and_remaining_time() -> None:
    code = """
from pipeline.work.progress import Progress
with Progress("squares", dialogues=3, utterances=9) as bar:
    bar.resume(dialogues=1, utterances=3)
    bar.advance(dialogues=1, utterances=4)
    bar.say("a line")
    bar.advance("a note", dialogues=1, utterances=2)
"""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, stdout=inside)
    os.close(inside)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "squares: a line" in shown
    assert "9/9" in shown
    assert "3/3 dialogues, a note" in shown


def test_one_module_alone_draws_bars() -> None:
    """Elsewhere a bar would fill log files with control characters."""
    sources = [path for folder in PACKAGES for path in (PROJECT / folder).rglob("*.py")]
    drawing = [path.name for path in sources if "import tqdm" in path.read_text(encoding="utf-8")]
    assert drawing == ["progress.py"]


def test_the_code_of_an_encoder_that_is_bound_to_a_function_counts_with_the_functions() -> None:
    encoder = opensmile.find_encoder("encoder", opensmile.Params(feature_set="GeMAPSv01b"))
    bound = partial(describe_audio_of_dialogue, root=Path("raw"), encoder=encoder, silence_dbfs=-70.0)
    assert modules_of(bound) == ["pipeline.encoders.audio.opensmile", "pipeline.encoders.audio_vectors"]
    assert modules_of(describe_audio_of_dialogue) == ["pipeline.encoders.audio_vectors"]
