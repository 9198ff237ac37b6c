"""Some of what ``python -m benchmarks.fuzz`` tries by the thousand, and how it tries."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from benchmarks.fuzz import features, media, models, params, tables, transcripts
from benchmarks.fuzz.trying import fuzz


@pytest.mark.parametrize(
    ("target", "cases"),
    [(params, 60), (tables, 300), (features, 15), (models, 40), (media, 200), (transcripts, 150)],
)
def test_what_is_damaged_is_read_whole_or_refused_in_words(
    target: ModuleType, cases: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcomes: Counter[str] = Counter()
    for seed in range(cases):
        folder = tmp_path / str(seed)
        folder.mkdir()
        target.make(Random(seed), folder)
        outcomes[target.attempt(folder)] += 1
    assert set(outcomes) == {"read", "refused"}, outcomes  # else it tries nothing


def test_what_hangs_fills_the_memory_or_ends_the_process_is_a_failure(tmp_path: Path) -> None:
    result = fuzz("tests.fuzz_target", 60, most=6, limit_s=2, limit_bytes=300 << 20, kept=tmp_path)
    assert result.outcomes == {"read": 2}
    assert {seed: words.splitlines()[-1] for seed, words in result.failures.items()} == {
        1: "ValueError: one of ours",
        2: "took more than 2 s",
        3: "took more than 0.3 GB",
        4: "ended the process with status -6",
    }
    assert {path.name for path in (tmp_path / "fuzz_target" / "2").iterdir()} == {"input", "failure.txt"}
