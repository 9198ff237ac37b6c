from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.store.atomic import replace_folder, write_atomically, write_csv


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_is_replaced_with_all_that_it_held(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with replace_folder(tmp_path / "models" / "model") as new:
            (new / content).touch()
    assert names(tmp_path / "models") == ["model", "model/second"]


@pytest.mark.parametrize("trouble", [ValueError, KeyboardInterrupt])
def test_a_folder_that_was_not_finished_leaves_the_old_one_and_nothing_beside(
    tmp_path: Path, trouble: type[BaseException]
) -> None:
    with replace_folder(tmp_path / "model") as new:
        (new / "old").touch()

    def stop_in_the_midst() -> None:
        with replace_folder(tmp_path / "model") as new:
            (new / "new").touch()
            raise trouble

    with pytest.raises(trouble):
        stop_in_the_midst()
    assert names(tmp_path) == ["model", "model/old"]


def test_a_stop_between_the_two_renames_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    rename = Path.rename

    def stopped(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt), replace_folder(tmp_path / "model") as new:
        (new / "new").touch()
    assert names(tmp_path) == ["model", "model/old"]


def test_a_new_folder_has_the_permissions_that_the_umask_grants_whatever_a_library_gave(
    tmp_path: Path,
) -> None:
    before = os.umask(0o027)
    try:
        with replace_folder(tmp_path / "model") as new:
            save_file({"weight": torch.zeros(1)}, new / "private.safetensors")
            (new / "private.safetensors").chmod(0o600)
            (new / "inner").mkdir(0o700)
            (new / "inner" / "open").touch()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "model", *tmp_path.rglob("*/*")]}
    assert modes == {"model": 0o750, "private.safetensors": 0o640, "inner": 0o750, "open": 0o640}


def test_whatever_characters_are_in_the_cells_a_table_reads_back(tmp_path: Path) -> None:
    rows = [["a\rb", "c\r\n", 'd"\n'], ["\r", "", "1,5"], ["e\r\n", "\u2028", "f\r"]]
    write_csv(tmp_path / "table.csv", ["x", "y", "z"], rows)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["x", "y", "z"], *rows]


def test_in_a_folder_where_everybody_keeps_to_their_own_files_nobody_else_may_change_one(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o1777)  # as /tmp
    write_atomically(tmp_path / "predictions.csv", b"id")
    assert (tmp_path / "predictions.csv").stat().st_mode & 0o777 == 0o644
