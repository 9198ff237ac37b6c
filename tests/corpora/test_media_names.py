from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.corpora.annotations.media_names import MediaNames
from pipeline.errors import UserError


def test_a_file_is_found_in_whatever_unicode_form_it_is_named(tmp_path: Path) -> None:
    on_disk = "Gespra\u0308che/Zoe\u0308 at 3.45\u202fPM.mov"
    (tmp_path / on_disk).parent.mkdir()
    (tmp_path / on_disk).touch()
    (tmp_path / "Gespra\u0308che/plain.mp4").touch()
    names = MediaNames(tmp_path, outside=False)
    for typed in (on_disk, "Gespräche/Zoë at 3.45 PM.mov", "Gespräche/./Zoe\u0308\u200b at 3.45 PM.mov"):
        assert names.find(typed) == on_disk
    assert names.find("Gespräche/plain.mp4") == "Gespra\u0308che/plain.mp4"
    assert names.find("Gespräche/gone.mp4") == "Gespra\u0308che/gone.mp4"
    assert names.find("nowhere/Zoë.mp4") == "nowhere/Zoë.mp4"


def test_of_two_files_that_look_alike_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    for name in ("Zoë.mp4", "Zoe\u0308.mp4"):
        (tmp_path / name).touch()
    names = MediaNames(tmp_path, outside=False)
    assert names.find("Zoë.mp4") == "Zoë.mp4"
    assert names.find("Zoe\u0308.mp4") == "Zoe\u0308.mp4"
    with pytest.raises(UserError, match=r"may be either of 'Zoe\\u0308\.mp4' and 'Zo\\xeb\.mp4'"):
        names.find("Zoë\u200b.mp4")


def test_a_link_out_of_the_root_is_not_followed_by_another_name(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "Zoë.mp4").touch()
    (tmp_path / "corpus/Zoe\u0308.mp4").symlink_to(tmp_path / "Zoë.mp4")
    with pytest.raises(UserError, match="is a link that leads out"):
        MediaNames(tmp_path / "corpus", outside=False).find("Zoë.mp4")
    assert MediaNames(tmp_path / "corpus", outside=True).find("../Zoe\u0308.mp4") == "../Zoë.mp4"
