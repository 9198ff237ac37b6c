"""What a killed DVC leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.work.dvc_lock import mend

WHOLE = '{"write": {"/p/data": {"pid": 7, "cmd": "dvc repro"}}, "read": {}}'


@pytest.mark.parametrize("length", [0, 1, 20, len(WHOLE) - 1])
def test_half_a_lock_file_is_deleted(tmp_path: Path, length: int) -> None:
    path = tmp_path / "rwlock"
    path.write_text(WHOLE[:length], encoding="utf-8")
    assert mend(tmp_path)
    assert not path.exists()
    assert not mend(tmp_path)


def test_a_whole_lock_file_is_left_to_dvc(tmp_path: Path) -> None:
    path = tmp_path / "rwlock"
    path.write_text(WHOLE, encoding="utf-8")
    assert not mend(tmp_path)
    assert path.read_text(encoding="utf-8") == WHOLE
    assert [each.name for each in tmp_path.iterdir()] == ["rwlock"]
