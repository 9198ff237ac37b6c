"""What stands among recordings and is none."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pipeline.media.probes import ProbeCache, examine_file
from pipeline.media.special_files import find_unreadable, special_kind


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of each kind."""
    root = tmp_path / "root"
    (root / "clips").mkdir(parents=True)
    (root / ".git").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "clips" / "a.mp4").write_bytes(b"film")
    (root / "link.mp4").symlink_to("clips/a.mp4")
    (root / "more").symlink_to(tmp_path / "elsewhere")
    (root / "up").symlink_to(".")
    os.mkfifo(root / "clips" / "pipe")
    os.mkfifo(root / ".git" / "pipe")
    os.mkfifo(tmp_path / "elsewhere" / "pipe")
    (root / "zero").symlink_to("/dev/zero")
    (root / "gone").symlink_to("nowhere.mp4")
    (root / "loop").symlink_to("loop")
    monkeypatch.chdir(root)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    (root / os.fsdecode(b"gr\xfc\xdfe.mp4")).write_bytes(b"film")
    return root


def test_what_dvc_would_wait_for_or_stop_at_is_found_where_dvc_looks(root: Path) -> None:
    assert sorted(find_unreadable(root)) == [
        f"{root}/clips/pipe is a pipe (FIFO)",
        f"{root}/gone is a link that leads nowhere",
        f"{root}/gr\udcfc\udcdfe.mp4 has a name that is not UTF-8",
        f"{root}/loop is a link that cannot be followed (Too many levels of symbolic links)",
        f"{root}/socket is a socket",
        f"{root}/zero is a link to a device",
    ]


def test_files_folders_links_to_them_and_nothing_are_not_special(root: Path) -> None:
    for name in ("clips", "clips/a.mp4", "link.mp4", "more", "up", "absent"):
        assert special_kind(root / name) == ""


def test_a_clip_that_is_no_file_says_what_it_is(root: Path) -> None:
    reasons = {
        name: examine_file(root / name).probe.image_problem
        for name in ("absent", "clips", "socket", "clips/pipe", "zero", "gone")
    }
    assert reasons == {
        "absent": "clip missing",
        "clips": "no file, but a folder",
        "socket": "no file, but a socket",
        "clips/pipe": "no file, but a pipe (FIFO)",
        "zero": "no file, but a link to a device",
        "gone": "no file, but a link that leads nowhere",
    }


def test_what_is_said_of_no_file_is_of_now(root: Path, tmp_path: Path) -> None:
    cache = ProbeCache.open(tmp_path / "probes", root)
    cache.put("socket", examine_file(root / "socket"))
    (root / "socket").unlink()
    probed = cache.get("socket")
    assert probed is not None
    assert probed.probe.audio_problem == "clip missing"
