"""Which media files DVC does not watch."""

from __future__ import annotations

from pathlib import Path

from pipeline.corpora.annotations.outside import files_outside


def test_files_in_other_folders_and_behind_linked_folders_lie_outside_and_linked_files_do_not(
    tmp_path: Path,
) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    (root / "clips").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "a.mp4").touch()
    (root / "clips/linked.mp4").symlink_to(elsewhere / "a.mp4")
    (root / "folder").symlink_to(elsewhere)
    (root / "inside").symlink_to(root / "clips")
    outside = ["../elsewhere/a.mp4", "folder/a.mp4", str(elsewhere / "a.mp4")]
    names = ["clips/linked.mp4", "inside/linked.mp4", "clips/missing.mp4", "top.mp4", *outside]
    assert files_outside(root, names) == sorted(outside)
    (tmp_path / "link").symlink_to(root)
    assert files_outside(tmp_path / "link", ["clips/linked.mp4"]) == []
