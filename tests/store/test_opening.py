"""HDF5 files of others: what they may hold, and what is refused before it does anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.store.code import PROJECT
from pipeline.store.opening import contents
from pipeline.store.opening.file import DamagedFileError, open_h5
from pipeline.store.opening.structures import Structures

SECRET = b"what is in another file of this machine"
TEXTS = [f"line {number} “så”" for number in range(300)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file of others is to be."""
    (tmp_path / "secret").write_bytes(SECRET)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.frombuffer(SECRET, np.uint8)
    return tmp_path / "others.h5"


@pytest.mark.parametrize("version", ["earliest", "latest"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": True},
        {"chunks": True, "maxshape": (None,)},
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True, "compression_opts": 9},
    ],
    ids=lambda options: "+".join(options) or "contiguous",
)
def test_what_other_software_usually_writes_is_read(path: Path, version: str, options: dict) -> None:
    rows = np.random.default_rng(0).integers(4, size=(300, 70)).astype(np.float32)
    of_rows = options | ({"maxshape": (None, 70)} if "maxshape" in options else {})
    with h5py.File(path, "w", libver=version) as file:
        file.create_dataset("a/b/rows", data=rows, **of_rows)
        file.create_dataset("checked", data=rows, fletcher32=True, compression="gzip")
        file.create_dataset("text", data=TEXTS, dtype=h5py.string_dtype(), **options)
        file.create_dataset("fixed", data=np.array([each.encode() for each in TEXTS]), **options)
        file.create_dataset("flags", data=rows[:, 0] > 1, **options)
        file["number"] = 7
        file["none"] = np.empty((0, 4), np.float32)
        file.create_dataset("unwritten", (40, 70), "f4", chunks=(8, 70))
        file["text"].attrs["remark"] = "attributes of arrays are nobody's business"
        file.attrs.update(
            {"text": "späť", "bytes": np.bytes_("fixed"), "whole": 3, "real": 0.5, "one": ["single"]}
        )
    with open_h5(path) as file:
        assert not file.sealed
        assert file.attrs == {"text": "späť", "bytes": "fixed", "whole": 3, "real": 0.5, "one": "single"}
        for name in ("a/b/rows", "checked"):
            np.testing.assert_array_equal(file.read(name), rows)
        for name in ("text", "fixed"):
            assert file.read(name).tolist() == TEXTS
        assert file.read("flags").dtype == bool
        assert (file.read("number"), file.read("none").shape) == (7, (0, 4))
        assert not file.read("unwritten").any()


def read_all(path: Path) -> None:
    with open_h5(path) as file:
        for name in file.arrays:
            file.read(name)


def soft(file: h5py.File) -> None:
    file["link"] = h5py.SoftLink("/elsewhere")


def external(file: h5py.File) -> None:
    file["link"] = h5py.ExternalLink("other.h5", "secret")


def external_storage(file: h5py.File) -> None:
    secret = str(Path(file.filename).parent / "secret")
    file.create_dataset("storage", (len(SECRET),), "u1", external=[(secret, 0, len(SECRET))])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((len(SECRET),), "u1")
    layout[:] = h5py.VirtualSource(str(Path(file.filename).parent / "other.h5"), "secret", (len(SECRET),))
    file.create_virtual_dataset("view", layout)


def deep(file: h5py.File) -> None:
    file.create_group("/".join("abcdefghijkl"))


def circle(file: h5py.File) -> None:
    file["a/b"] = 1
    file["a/a"] = file["a"]


def bomb_without_storage(file: h5py.File) -> None:
    file.create_dataset("bomb", (1 << 40,), "f4")


def bomb_without_chunks(file: h5py.File) -> None:
    file.create_dataset("bomb", (1 << 40,), "f4", chunks=(1024,))


def bomb_of_one_chunk(file: h5py.File) -> None:
    file.create_dataset("bomb", (2,), "f4", chunks=(1 << 29,), maxshape=(None,), compression="gzip")


def bomb_of_many_names(file: h5py.File) -> None:
    file["rows"] = np.zeros(100_000)
    for number in range(20):
        file[f"again{number}"] = file["rows"]


def bomb_of_repeated_text(file: h5py.File) -> None:
    """Many elements that all point to one long text."""
    file.create_dataset("text", (5000,), h5py.string_dtype())[0] = "x" * 100_000
    file.flush()
    place = file["text"].id.get_offset()
    with Path(file.filename).open("rb+") as raw:
        raw.seek(place)
        element = raw.read(16)
        raw.seek(place)
        raw.write(element * 5000)


REFUSED: dict[Callable[[h5py.File], object], str] = {
    soft: "link is a link to somewhere else",
    external: "link is a link to somewhere else",
    external_storage: r"storage lies in other files \(external storage or a virtual data set\)",
    virtual: r"view lies in other files \(external storage or a virtual data set\)",
    deep: "a/b/c/d/e/f/g/h/i lies too deep",
    circle: "lies too deep",
    bomb_without_storage: "its arrays are larger than its bytes allow",
    bomb_without_chunks: "its arrays are larger than its bytes allow",
    bomb_of_one_chunk: "bomb has chunks that are larger than itself",
    bomb_of_many_names: "its arrays are larger than its bytes allow",
    bomb_of_repeated_text: "text has more text than the file has bytes",
    lambda file: file.create_dataset("a", data=[1.5], compression="lzf"): "a has other filters than gzip",
    lambda file: file.create_dataset("a", data=[1.5], scaleoffset=2): "a has other filters than gzip",
    lambda file: file.create_dataset("a", (1,), h5py.ref_dtype): "a is neither text nor numbers",
    lambda file: file.create_dataset("a", data=np.zeros(3, "i4,f4")): "a is neither text nor numbers",
    lambda file: file.create_dataset("a", (3,), h5py.vlen_dtype("i4")): "a is neither text nor numbers",
    lambda file: file.create_dataset("a", data=h5py.Empty("f4")): "a has no values",
    lambda file: file.__setitem__("a", np.dtype("f4")): "a is neither an array nor a group",
    lambda file: file.attrs.__setitem__("a", [1, 2]): "attribute a is not a single value",
    lambda file: file.attrs.__setitem__("a", file.ref): "attribute a is neither text nor numbers",
    lambda file: [file.attrs.__setitem__(f"a{n}", n) for n in range(200)]: "more than 100 attributes",
    lambda file: [file.create_group(f"a{n}") for n in range(101)]: "more than 100 attributes",
    lambda file: file.create_dataset("a", data=[b"\xff\xfe"], dtype="S2"): "can't decode byte",
}  # fmt: skip


@pytest.mark.parametrize("spoil", REFUSED)
def test_what_leads_elsewhere_or_fills_the_memory_is_refused(
    path: Path, spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MOST_OBJECTS", 100)
    with h5py.File(path, "w") as file:
        file["sound"] = np.arange(3)
        spoil(file)
    with pytest.raises(DamagedFileError, match=REFUSED[spoil]) as refused:
        read_all(path)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 500


def test_a_chunk_that_inflates_beyond_its_size_is_refused(path: Path) -> None:
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("rows", (1 << 19,), "f4", chunks=(1 << 19,), compression="gzip")
        noise = np.random.default_rng(0).bytes(3 << 19)
        rows.id.write_direct_chunk((0,), zlib.compress(noise + bytes(8 << 20), 1))
    with open_h5(path) as file, pytest.raises(DamagedFileError, match="rows has chunks of a wrong size"):
        file.read("rows")


def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DamagedFileError, match="it is no plain file"), open_h5(tmp_path / "pipe"):
        pass
    with pytest.raises(DamagedFileError, match="it is no plain file"), open_h5(tmp_path):
        pass
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(DamagedFileError, match="it is no plain file"), open_h5(tmp_path / "zero"):
        pass


SPOILT = """
import sys
from pathlib import Path
from pipeline.store.opening.file import DamagedFileError, open_h5
from pipeline.store.opening.structures import Structures
path, refused = Path(sys.argv[1]), 0
sound = path.read_bytes()
for change in eval(sys.stdin.read()):
    content = bytearray(sound)
    for place, number in change.items():
        content[place : place + 8] = number.to_bytes(8, "little")
    path.write_bytes(content)
    try:
        with open_h5(path) as file:
            for name in file.arrays:
                file.read(name)
    except DamagedFileError:
        refused += 1
print(refused)
"""


def count_refused(path: Path, changes: list[dict[int, int]]) -> int:
    """How many files are refused of those with numbers of 8 bytes at places; a hang or a crash is an error.

    In a process of its own, because HDF5 would never come back, or end it.
    """
    done = subprocess.run(
        [sys.executable, "-c", SPOILT, str(path)],
        cwd=PROJECT, input=repr(changes), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout)


def test_a_page_of_zeros_never_keeps_hdf5_busy_for_ever(path: Path) -> None:
    """In a file without a seal, where the page may lie in a heap of text."""
    with h5py.File(path, "w") as file:
        for number in range(3):
            file[f"text{number}"] = TEXTS
            file[f"rows{number}"] = np.arange(100.0)
        file.attrs["text"] = "words" * 100
    size = path.stat().st_size
    pages = [range(start, min(start + 4096, size - 8), 8) for start in range(0, size, 2048)]
    assert count_refused(path, [dict.fromkeys(page, 0) for page in pages]) > 20


def test_structures_that_lead_back_to_themselves_are_refused(path: Path) -> None:
    """HDF5 follows trees into themselves until it crashes, and free blocks of names for ever."""
    with h5py.File(path, "w") as file:
        file.create_dataset("rows", data=np.arange(300.0).reshape(150, 2), chunks=(1, 2))
    content = path.read_bytes()
    [*trees] = (match.start() for match in re.finditer(b"TREE", content))
    (root,) = (start for start in trees if content[start + 5] > 0)
    child, other = root + 24 + 32, root + 24 + 32 + 40
    (heap,) = (match.start() for match in re.finditer(b"HEAP", content))
    names = int.from_bytes(content[heap + 24 : heap + 32], "little")
    leaf = int.from_bytes(content[child : child + 8], "little")
    changes = [{child: root}, {other: leaf}, {heap + 16: 8, names + 8: 8}, {heap + 16: 8, names + 8: 0}]
    assert count_refused(path, [{}]) == 0
    assert count_refused(path, changes) == len(changes)


@pytest.mark.parametrize(
    "content",
    [
        b"EAHD" + bytes(40) + (1 << 40).to_bytes(8, "little"),
        b"FAHD" + bytes(4) + (1 << 40).to_bytes(8, "little"),
        b"BTHD" + bytes(8) + (60_000).to_bytes(2, "little"),
    ],
)
def test_an_index_larger_than_its_file_is_refused(content: bytes) -> None:
    """Of the newer format, whose structures have checksums: made on purpose."""
    assert "of its structure is damaged" in Structures(lambda start, size: b"", 10_000).find_problem(
        0, content
    )
    assert Structures(lambda start, size: b"", 10_000).find_problem(0, content[:8] + bytes(40)) == ""
