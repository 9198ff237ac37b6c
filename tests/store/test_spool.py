from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.store.code import PROJECT
from pipeline.store.h5 import Arrays, read_h5, write_h5
from pipeline.store.spool import Spool
from pipeline.work.extraction import stack_on_disk

EMPTY = {
    "features": np.empty((0, 700), np.float32),
    "place": np.empty(0, np.int64),
    "reason": np.empty(0, str),
}


def part(number: int, rows: int) -> Arrays:
    random = np.random.default_rng(number)
    return {
        "features": random.random((rows, 700), np.float32),
        "place": np.arange(rows),
        "reason": np.array(["clip missing"] * rows, dtype=object),
    }


def test_a_file_from_spooled_rows_has_the_bytes_of_one_from_arrays_in_memory(tmp_path: Path) -> None:
    parts = [part(number, rows) for number, rows in enumerate((3, 0, 1200, 1, 900))]
    write_h5(tmp_path / "spooled.h5", stack_on_disk(iter(parts), EMPTY, tmp_path), {"key": "value"})
    whole = {name: np.concatenate([p[name] for p in parts]) for name in EMPTY}
    write_h5(tmp_path / "memory.h5", whole, {"key": "value"})
    assert (tmp_path / "spooled.h5").read_bytes() == (tmp_path / "memory.h5").read_bytes()
    assert read_h5(tmp_path / "spooled.h5")[0]["place"].tolist() == [*range(3), *range(1200), 0, *range(900)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["memory.h5", "spooled.h5"]


def test_no_part_gives_an_empty_table(tmp_path: Path) -> None:
    write_h5(tmp_path / "empty.h5", stack_on_disk([], EMPTY, tmp_path), {})
    assert read_h5(tmp_path / "empty.h5")[0]["features"].shape == (0, 700)


def test_a_slice_has_the_rows_that_were_asked_for_and_ends_with_the_last(tmp_path: Path) -> None:
    spool = Spool(tmp_path, np.empty((0, 2), np.int16))
    for start in (0, 5):
        spool.append(np.arange(start, start + 5).repeat(2).reshape(-1, 2))
    assert spool[3:7][:, 0].tolist() == [3, 4, 5, 6]
    assert spool[8:99].tolist() == [[8, 8], [9, 9]]
    assert (spool.shape, spool.dtype) == ((10, 2), np.int16)


@pytest.mark.parametrize("spooled", [True, False])
def test_a_full_disk_is_an_error_that_says_so_and_leaves_nothing(tmp_path: Path, spooled: bool) -> None:
    """A limit on the size of files meets a writer as a full disk does: in the middle of a write."""
    code = f"""
import signal, numpy as np
from pathlib import Path
from pipeline.errors import UserError
from pipeline.store.h5 import write_h5
from pipeline.work.extraction import stack_on_disk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, rows = Path({str(tmp_path)!r}), np.ones((1000, 1000), np.float32)
try:
    table = {{"features": rows}}
    if {spooled}:
        table = stack_on_disk([table], {{"features": rows[:0]}}, folder)
    write_h5(folder / "a.h5", table, {{}})
except UserError as error:
    print(error)
"""
    limit = 2_000_000
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert "cannot be written (File too large)" in done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
