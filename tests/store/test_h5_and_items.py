from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.store.code import PROJECT
from pipeline.store.h5 import DamagedFileError, is_text, read_h5, write_h5
from pipeline.store.items import ItemStore
from pipeline.store.opening.file import open_h5
from pipeline.work.extraction import wait_for_item
from tests.store.seals import cut_seal
from tests.users import unprivileged

ARRAYS = {
    "features": np.arange(600, dtype=np.float32).reshape(20, 30),
    "reason": np.array(["", "clip missing", "naïve ’quoted’ 😀"]),
    "none": np.empty((0, 4), np.float32),
    "no_text": np.empty(0, str),
    "flags": np.array([True, False]),
}
KEY = "ab" + "0" * 62


def test_arrays_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", ARRAYS, {"name": "späť", "schema": 1})
    arrays, attrs = read_h5(tmp_path / "a.h5")
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert is_text(arrays[name]) if is_text(array) else arrays[name].dtype == array.dtype
    assert (attrs["name"], attrs["schema"]) == ("späť", 1)


def test_one_long_line_costs_its_own_length(tmp_path: Path) -> None:
    lines = np.array(["short"] * 5000 + ["word " * 10_000], dtype=object)
    write_h5(tmp_path / "a.h5", {"text": lines}, {})
    assert (tmp_path / "a.h5").stat().st_size < 1_000_000
    np.testing.assert_array_equal(read_h5(tmp_path / "a.h5")[0]["text"], lines)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", ARRAYS, {"x": 1, "y": 2})
    write_h5(tmp_path / "b.h5", dict(reversed(ARRAYS.items())), {"y": 2, "x": 1})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_the_bytes_do_not_depend_on_when_python_lets_go_of_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_h5(tmp_path / "a.h5", ARRAYS, {"x": "y" * 64})
    create, held = h5py.Group.create_dataset, []

    def create_and_hold(*given, **named):
        held.append(create(*given, **named))
        return held[-1]

    monkeypatch.setattr(h5py.Group, "create_dataset", create_and_hold)
    write_h5(tmp_path / "b.h5", ARRAYS, {"x": "y" * 64})
    assert len(held) == len(ARRAYS)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_h5(path, {"x": np.zeros(3)}, {})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_h5(path, {"x": np.array([object()])}, {})
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["a.h5"]


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_h5(path, ARRAYS, {"schema": 1})
    whole = path.read_bytes()
    noticed = 0
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            arrays, _ = read_h5(path)
        except DamagedFileError:
            noticed += 1
        else:
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(arrays[name], array)
    assert noticed > 10


def test_an_attribute_that_is_no_text_any_more_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_h5(path, ARRAYS, {"name": "worth reading"})
    cut_seal(path)
    path.write_bytes(path.read_bytes().replace(b"worth reading", b"w\xefrth reading"))
    with pytest.raises(DamagedFileError, match="digest"):
        read_h5(path)


def test_the_store_returns_what_was_put_and_nothing_else(tmp_path: Path) -> None:
    store = ItemStore(tmp_path, "faces")
    assert store.get(KEY) is None
    store.put(KEY, ARRAYS)
    np.testing.assert_array_equal(store.get(KEY)["features"], ARRAYS["features"])
    assert ItemStore(tmp_path, "audio").get(KEY) is None


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:-100], lambda b: b[:700], lambda b: b"", lambda b: b"x" * len(b)]
)
def test_a_damaged_item_counts_as_absent(tmp_path: Path, spoil) -> None:
    store = ItemStore(tmp_path, "faces")
    store.put(KEY, ARRAYS)
    path = store.path(KEY)
    path.write_bytes(spoil(path.read_bytes()))
    assert store.get(KEY) is None
    store.put(KEY, ARRAYS)
    assert store.get(KEY) is not None


def test_an_item_that_cannot_be_read_now_is_not_taken_for_absent(lab_folder: Path) -> None:
    store = ItemStore(lab_folder, "faces")
    store.put(KEY, ARRAYS)
    store.path(KEY).chmod(0o600)
    with (
        unprivileged(),
        pytest.raises(UserError, match=rf"{KEY}\.h5: cannot be read now \(Permission denied\).* mend"),
    ):
        wait_for_item(KEY, store)


@pytest.mark.parametrize("reads", range(6))
def test_a_disk_that_fails_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: int) -> None:
    """Whether the error comes before HDF5 has the file, or reaches this program through it."""
    path = tmp_path / "a.h5"
    write_h5(path, {"rows": np.ones((200, 300))}, {})
    left = iter(range(reads))
    whole = os.pread

    def fail(handle: int, size: int, start: int) -> bytes:
        if next(left, None) is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(handle, size, start)

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(UserError, match=r"a\.h5: cannot be read now \(Input/output error\)"):
        read_h5(path)
    with pytest.raises(UserError, match="cannot be read now"), open_h5(path) as file:
        file.check_bytes()


def test_a_file_server_that_gives_no_locks_hides_no_item(tmp_path: Path) -> None:
    store = ItemStore(tmp_path, "faces")
    store.put(KEY, ARRAYS)
    with store.path(KEY).open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert store.get(KEY) is not None


def test_an_item_under_the_wrong_name_counts_as_absent(tmp_path: Path) -> None:
    store = ItemStore(tmp_path, "faces")
    store.put(KEY, ARRAYS)
    other = KEY.replace("ab", "ac")
    store.path(other).parent.mkdir()
    store.path(KEY).rename(store.path(other))
    assert store.get(other) is None


def test_a_store_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="MULTIEMO_STORE"):
        ItemStore(tmp_path / "file", "faces").put(KEY, ARRAYS)


def test_an_item_of_another_version_counts_as_absent_and_is_replaced(tmp_path: Path) -> None:
    store = ItemStore(tmp_path, "faces")
    write_h5(store.path(KEY), {"features": np.zeros(3)}, {"schema": 99, "key": KEY, "stage": "faces"})
    assert store.get(KEY) is None
    store.put(KEY, ARRAYS)
    assert store.get(KEY) is not None


def test_a_foreign_file_under_an_items_name_counts_as_absent(tmp_path: Path) -> None:
    store = ItemStore(tmp_path, "faces")
    store.path(KEY).parent.mkdir(parents=True)
    with h5py.File(store.path(KEY), "w") as file:
        file["features"] = np.zeros(3)
    assert store.get(KEY) is None


FILL_THE_DISK = """
import sys
from pathlib import Path
import numpy as np
from pipeline.errors import UserError
from pipeline.work.extraction import Item, extract
from tests.store.test_h5_and_items import make_noise
items = [Item(key=f"{n:064x}", dialogue=f"d{n}", utterances=1, work=n) for n in (10, 20_000)]
try:
    list(extract("noise", items, make_noise, workers=1))
except UserError as error:
    sys.exit(f"noise: error: {error}")
"""


def make_noise(values: int) -> dict[str, np.ndarray]:
    return {"noise": np.random.default_rng(0).random(values)}


def test_a_full_disk_is_an_error_and_leaves_whole_items_only(tmp_path: Path) -> None:
    """A limit on the size of files meets a writer as a full disk does: in the middle of a write."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "MULTIEMO_STORE": str(tmp_path / "store")}
    command = [sys.executable, "-c", FILL_THE_DISK]
    full = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert full.returncode == 1
    assert "noise: error: item store: " in full.stderr
    assert "cannot be written (File too large); free space" in full.stderr
    assert "Traceback" not in full.stderr
    store = ItemStore(tmp_path / "store", "noise")
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert set(files) <= {store.path(f"{10:064x}")}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert store.get(f"{20_000:064x}") is not None


FULL_FROM_ANY_MOMENT_ON = """
import os, sys
from pathlib import Path
import numpy as np
from pipeline.errors import UserError
from pipeline.store.h5 import read_h5, write_h5
from pipeline.work.extraction import stack_on_disk
disk, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
rows = np.random.default_rng(0).random((80, 1500), np.float32)
spooled = stack_on_disk([{"features": rows}], {"features": rows[:0]}, elsewhere)["features"]
arrays = {"a/features": spooled, "text": np.array(["words " * 20] * 80, object), "v/features": rows}
path, written = disk / "a.h5", 0
for lasting in (True, False):
    for free_pages in (*range(12), *range(12, 300, 12)):
        (disk / "ballast").write_bytes(bytes(4096 * (os.statvfs(disk).f_bfree - free_pages)))
        try:
            write_h5(path, arrays, {}, lasting=lasting)
        except UserError as error:
            assert "cannot be written (No space left on device)" in str(error), error
        else:
            np.testing.assert_array_equal(read_h5(path)[0]["v/features"], rows)
            path.unlink()
            written += 1
        (disk / "ballast").unlink()
        assert not list(disk.iterdir())
print("written", written)
"""


def test_a_disk_that_is_full_from_any_moment_on_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """HDF5 crashes where it reads back something else than it wrote."""
    (disk := tmp_path / "disk").mkdir()
    mount = f"mount -t tmpfs -o size=2m tmpfs {disk}"
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*alone, mount], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    command = [*alone, f'{mount} && "$@"', "sh", sys.executable, "-c", FULL_FROM_ANY_MOMENT_ON]
    done = subprocess.run(
        [*command, str(disk), str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 0 < int(done.stdout.split()[-1]) < 60


def test_a_read_only_store_gives_its_items_and_says_that_it_takes_none(lab_folder: Path) -> None:
    store = ItemStore(lab_folder, "faces")
    store.put(KEY, ARRAYS)
    os.utime(store.path(KEY), (0, 0))
    for folder in (lab_folder, lab_folder / "faces", store.path(KEY).parent):
        folder.chmod(0o555)
    with unprivileged():
        assert store.get(KEY) is not None
        with pytest.raises(UserError, match=r"cannot be written \(Permission denied\).*MULTIEMO_STORE"):
            store.put(KEY, ARRAYS)
        with pytest.raises(UserError, match=r"Permission denied.*MULTIEMO_STORE"):
            store.put(KEY.replace("ab", "cd"), ARRAYS)
    assert [path for path in lab_folder.rglob("*") if path.is_file()] == [store.path(KEY)]


def test_whoever_may_use_the_store_may_use_what_others_put_there(lab_folder: Path) -> None:
    (root := lab_folder / "store").mkdir()
    root.chmod(0o2770)
    before = os.umask(0o077)
    try:
        ItemStore(root, "faces").put(KEY, ARRAYS)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in root.rglob("*")}
    assert modes == {"faces": 0o2770, "ab": 0o2770, f"{KEY}.h5": 0o660}


FILL_AT_ONCE = """
import os, sys
import numpy as np
from pathlib import Path
from pipeline.store.items import ItemStore
from tests.store.seals import cut_seal
from tests.users import unprivileged
root, group = Path(sys.argv[1]), int(sys.argv[2])
gate, opener = os.pipe()
members = []
for user in (60001, 60002, 60003):
    members.append(os.fork())
    if not members[-1]:
        os.setgroups([group]), os.setgid(group), os.setuid(user), os.umask(0o077)
        os.close(opener), os.read(gate, 1)
        for number in range(256):
            ItemStore(root, "faces").put(f"{number:02x}" + "0" * 62, {"features": np.ones(3)})
        os._exit(0)
os.close(opener)
sys.exit(sum(os.waitpid(member, 0)[1] for member in members) > 0)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_members_who_fill_an_empty_store_at_once_never_shut_each_other_out(lab_folder: Path) -> None:
    group = 54321
    for number in range(4):
        (root := lab_folder / str(number)).mkdir()
        os.chown(root, 0, group)
        root.chmod(0o2770)
        done = subprocess.run(
            [sys.executable, "-c", FILL_AT_ONCE, str(root), str(group)],
            cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert {path.stat().st_mode & 0o7777 for path in (root / "faces").iterdir()} == {0o2770}


def test_an_items_time_is_that_of_its_last_use(tmp_path: Path) -> None:
    store = ItemStore(tmp_path, "faces")
    store.put(KEY, ARRAYS)
    os.utime(store.path(KEY), (0, 0))
    assert store.read(KEY) is not None
    assert store.path(KEY).stat().st_mtime == 0
    assert store.get(KEY) is not None
    assert store.path(KEY).stat().st_mtime > 0


def test_a_single_number_is_an_array_too(tmp_path: Path) -> None:
    for lasting in (True, False):
        write_h5(tmp_path / "a.h5", {"count": np.array(7)}, {}, lasting=lasting)
        arrays, _ = read_h5(tmp_path / "a.h5")
        assert arrays["count"].shape == ()
        assert arrays["count"] == 7
