from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction import Item, extract, stack, summarise
from pipeline.h5 import Arrays


def square(number: int, log: Path) -> Arrays:
    with log.open("a") as file:
        file.write(f"{number}\n")
    return {"features": np.full((number, 2), number**2, np.float32), "reason": np.array([""] * number)}


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
    reasons = np.array([""] * 18 + ["clip missing", "silent"])
    summarise("audio", "audio", reasons, limit=0.1)
    assert "18 of 20 utterances observed (not: 1 clip missing; 1 silent)" in capsys.readouterr().out
    with pytest.raises(
        UserError, match=r"2 of 20 utterances lack audio \(10.0%\), more than max_unobserved.audio: 0.05"
    ):
        summarise("audio", "audio", reasons, limit=0.05)
