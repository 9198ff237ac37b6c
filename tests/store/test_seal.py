"""Whatever a disk does to a file of ours is seen before HDF5 interprets it; what others do to it as well."""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.store.h5 import DamagedFileError, read_h5, write_h5
from pipeline.store.opening.file import open_h5
from pipeline.store.seal import BLOCK_BYTES

PAGE_BYTES = 4096
ARRAYS = {
    "features": np.random.default_rng(0).random((500, 70), np.float32),
    "text": np.array([f"line {number} of some words" for number in range(300)], object),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three blocks and a seal."""
    write_h5(tmp_path / "a.h5", ARRAYS, {"name": "a"})
    assert (tmp_path / "a.h5").stat().st_size > 2 * BLOCK_BYTES
    return tmp_path / "a.h5"


def test_a_page_of_zeros_anywhere_is_damage_and_found_at_once(path: Path) -> None:
    sound = path.read_bytes()
    for start in range(0, len(sound), PAGE_BYTES):
        end = min(start + PAGE_BYTES, len(sound))
        path.write_bytes(sound[:start] + bytes(end - start) + sound[end:])
        began_s = time.monotonic()
        try:
            with open_h5(path) as file:
                assert file.check_bytes() != []
        except DamagedFileError:
            pass
        assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b[:-PAGE_BYTES], lambda b: b + b"\n", lambda b: b * 2]
)
def test_a_file_that_is_cut_off_or_goes_on_is_damage(path: Path, change) -> None:
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DamagedFileError):
        read_h5(path)


def test_only_the_bytes_that_are_read_are_looked_at(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[BLOCK_BYTES + BLOCK_BYTES // 2] ^= 1  # in the middle of the features
    path.write_bytes(content)
    np.testing.assert_array_equal(read_h5(path, ["text"])[0]["text"], ARRAYS["text"])
    with pytest.raises(DamagedFileError, match=r"a\.h5: bytes \d+ to \d+ are damaged"):
        read_h5(path, ["features"])


def test_software_that_changes_a_file_cuts_the_seal_off(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["features"][0, 0] = 7
    with open_h5(path) as file:
        assert not file.sealed
        assert file.read("features")[0, 0] == 7
    with pytest.raises(DamagedFileError, match="does not match its digest"):
        read_h5(path)
