from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.errors import UserError
from pipeline.media import probes
from pipeline.media.probes import ProbeCache, examine_file
from pipeline.work.processes import Ended, Function, Task
from stages import manifest
from stages.manifest import examine
from tests.users import unprivileged


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIEMO_STORE", str(tmp_path / "store"))


def test_only_files_that_changed_are_read_again(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (root / name).write_bytes((demo_root / "dev_splits_complete" / "dia0_utt0.mp4").read_bytes())
    first = examine(root, ["a.mp4", "b.mp4", "absent.mp4"])
    assert "3 of 3 files to read, 0 unchanged" in capsys.readouterr().out
    assert first["a.mp4"].probe == first["b.mp4"].probe
    assert first["a.mp4"].sha256 == first["b.mp4"].sha256
    assert first["absent.mp4"].probe.image_problem == "clip missing"
    (root / "b.mp4").write_bytes(b"broken")
    again = examine(root, ["a.mp4", "b.mp4", "absent.mp4"])
    assert "1 of 3 files to read, 2 unchanged" in capsys.readouterr().out
    assert again["a.mp4"] == first["a.mp4"]
    assert again["b.mp4"].probe.image_problem.startswith("cannot be opened")


def test_a_touched_file_is_read_again_and_keeps_its_digest(
    demo_root: Path, capsys: pytest.CaptureFixture
) -> None:
    name = "dev_splits_complete/dia0_utt1.mp4"
    before = examine(demo_root, [name])[name]
    os.utime(demo_root / name, ns=(1, 1))
    capsys.readouterr()
    after = examine(demo_root, [name])[name]
    assert "1 of 1 files to read" in capsys.readouterr().out
    assert after.sha256 == before.sha256


def test_a_file_that_changes_while_files_are_read_stops_the_stage_and_not_the_next_run(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its digest, one clip's features would stand for another's."""
    names = ["a.mp4", "b.mp4"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(
            (demo_root / "dev_splits_complete" / f"dia0_utt{number}.mp4").read_bytes()
        )

    def copy_on(function: Function, tasks: Sequence[Task], **_: object) -> Iterator[Ended]:
        for task in tasks:
            yield Ended(task, function(task))
        os.utime(tmp_path / "a.mp4")

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "run_all", copy_on)
        with pytest.raises(UserError, match=r"a\.mp4 changed while it was read; run dvc repro again"):
            examine(tmp_path, names)
    found = examine(tmp_path, names)
    assert found["a.mp4"].sha256 != found["b.mp4"].sha256


def test_a_folder_that_nobody_may_look_into_is_no_missing_clip(lab_folder: Path) -> None:
    (lab_folder / "clips").mkdir()
    (lab_folder / "clips").chmod(0)
    cache = ProbeCache.open(lab_folder / "store", lab_folder)
    with unprivileged():
        for look in (lambda: cache.get("clips/a.mp4"), lambda: examine_file(lab_folder / "clips/a.mp4")):
            with pytest.raises(UserError, match=r"a\.mp4: cannot be read \(Permission denied\); mend its"):
                look()


@pytest.mark.parametrize("how", ["renamed", "written over"])
def test_files_that_change_places_are_read_again_though_size_and_time_are_the_same(
    tmp_path: Path, how: str
) -> None:
    """As mv, or rsync -t, zip and tar, leave them."""
    first, second = tmp_path / "a.wav", tmp_path / "b.wav"
    for path, hertz in ((first, 200), (second, 300)):
        soundfile.write(path, np.sin(np.arange(16000) * hertz * 2 * np.pi / 16000), 16000)
        os.utime(path, ns=(1, 1))
    cache = ProbeCache.open(tmp_path / "store", tmp_path)
    before = {name: examine_file(tmp_path / name) for name in ("a.wav", "b.wav")}
    for name, probed in before.items():
        cache.put(name, probed)
        assert cache.get(name) == probed
    if how == "renamed":
        first.rename(tmp_path / "c.wav")
        second.rename(first)
        (tmp_path / "c.wav").rename(second)
    else:
        contents = first.read_bytes(), second.read_bytes()
        for path, content in zip((second, first), contents, strict=True):
            path.write_bytes(content)
            os.utime(path, ns=(1, 1))
    assert cache.get("a.wav") is cache.get("b.wav") is None
    assert examine_file(first).stamp[:2] == before["a.wav"].stamp[:2]
    assert examine_file(first).sha256 == before["b.wav"].sha256 != before["a.wav"].sha256


@pytest.fixture
def saved(tmp_path: Path) -> ProbeCache:
    """A cache on disk that knows one file."""
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(16000) / 10), 16000)
    cache = ProbeCache.open(tmp_path / "probes", tmp_path)
    cache.put("a.wav", examine_file(tmp_path / "a.wav"))
    cache.save()
    assert ProbeCache.open(tmp_path / "probes", tmp_path).get("a.wav") == cache.get("a.wav")
    return cache


def alter_a_digit(content: str) -> str:
    """Of the clip's digest, which would lend its key to another's features."""
    digest = json.loads(content)["entries"]["a.wav"]["sha256"]
    return content.replace(digest, ("1" if digest[0] == "0" else "0") + digest[1:])


@pytest.mark.parametrize(
    "damage", [alter_a_digit, lambda _: "[]", lambda _: "null", lambda _: "{}", lambda _: "[" * 10**5]
)
def test_a_damaged_cache_is_made_again(
    damage: Callable[[str], str], saved: ProbeCache, tmp_path: Path
) -> None:
    saved.path.write_text(damage(saved.path.read_text(encoding="utf-8")), encoding="utf-8")
    assert ProbeCache.open(tmp_path / "probes", tmp_path).get("a.wav") is None


@pytest.mark.parametrize(("days", "kept"), [(1, True), (100, False)])
def test_what_other_code_has_found_is_not_taken_and_goes_when_no_clone_has_written_it_for_long(
    days: int, kept: bool, saved: ProbeCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = time.time() - days * 24 * 3600
    os.utime(saved.path, (written, written))
    monkeypatch.setattr(probes, "result_digest", lambda *_: "another version of the code")
    cache = ProbeCache.open(tmp_path / "probes", tmp_path)
    assert cache.get("a.wav") is None
    cache.save()
    assert set((tmp_path / "probes").iterdir()) == {cache.path} | ({saved.path} if kept else set())


def test_the_cache_of_a_shared_store_is_open_to_whom_the_store_is_open(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(0o2775)
    cache = ProbeCache.open(store / "probes", tmp_path)
    umask = os.umask(0o077)
    try:
        cache.save()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o2775
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o664
