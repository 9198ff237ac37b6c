from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.h5 import DamagedFileError, read_h5, write_h5
from pipeline.itemstore import ItemStore

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
        assert arrays[name].dtype.kind == array.dtype.kind
    assert (attrs["name"], attrs["schema"]) == ("späť", 1)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", ARRAYS, {"x": 1, "y": 2})
    write_h5(tmp_path / "b.h5", dict(reversed(ARRAYS.items())), {"y": 2, "x": 1})
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
