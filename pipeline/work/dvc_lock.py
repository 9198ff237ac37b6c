"""Run by ``make repro`` before DVC: mends the one file of DVC's own that a killed DVC can leave broken.

``.dvc/tmp/rwlock`` says which process reads and writes which output.  DVC rewrites it in place, and a run
that finds half of it ends with ``JSON structure is corrupted``, as does every later one.
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(".dvc", "tmp")


def mend(folder: Path = FOLDER) -> bool:
    """Delete the file if it is no JSON, under the lock that DVC takes to rewrite it; whether it was."""
    path = folder / "rwlock"
    if _is_sound(path):
        return False
    from dvc.lock import make_lock  # takes a second

    with make_lock(str(folder / "rwlock.lock"), tmp_dir=str(folder)):
        if _is_sound(path):  # it was being rewritten
            return False
        path.unlink()
    return True


def _is_sound(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


if __name__ == "__main__" and mend():
    print(f"{FOLDER / 'rwlock'}: deleted, as it was cut off when DVC was killed")
