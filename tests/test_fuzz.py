"""Some of what the fuzz targets params and tables try by the thousand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from benchmarks.fuzz import params, tables


@pytest.mark.parametrize(("target", "cases"), [(params, 60), (tables, 300)])
def test_a_damaged_text_is_read_whole_or_refused_in_words(
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
