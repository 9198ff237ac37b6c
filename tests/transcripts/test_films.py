"""A transcript's film: by name in any Unicode form, never the first of several, with its own origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.transcripts.content import MediaLink, Transcript
from pipeline.transcripts.films import Film, Films


def films(folder: Path, *names: str) -> Films:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return Films(folder)


def naming(*links: MediaLink, stem: str = "visit") -> Transcript:
    return Transcript(Path(f"{stem}.eaf"), (), tiered=True, media=links)


def test_a_film_is_found_below_the_folder_in_whatever_form_its_name_is(tmp_path: Path) -> None:
    found = films(tmp_path, "one/u\u0308bung.mp4", "one/._u\u0308bung.mp4", "two/other.mp4")
    assert found.find(naming(MediaLink("übung.mp4", 40)), None) == Film(tmp_path / "one/u\u0308bung.mp4", 40)


def test_of_a_link_to_sound_the_film_of_the_same_name_is_taken_and_told(tmp_path: Path) -> None:
    found = films(tmp_path, "übung.wav", "übung.mov")
    film = found.find(naming(MediaLink("übung.wav", 5230)), None)
    assert film[:2] == (tmp_path / "übung.mov", 5230)
    assert film.note == f"it names übung.wav, and {tmp_path / 'übung.mov'} was taken"
    alone = films(tmp_path / "sound", "übung.wav").find(naming(MediaLink("übung.wav")), None)
    assert alone.path == tmp_path / "sound/übung.wav"
    assert alone.note.startswith("sound alone")


def test_without_a_link_the_film_is_called_as_the_transcript(tmp_path: Path) -> None:
    found = films(tmp_path, "visit.mp4", "visit.wav", "visit.txt")
    assert found.find(naming(), None) == Film(tmp_path / "visit.mp4")
    gone = found.find(naming(MediaLink("gone.mp4", 7)), None)
    assert (gone.path, gone.origin_ms) == (tmp_path / "visit.mp4", 7)
    assert "names gone.mp4" in gone.note
    with pytest.raises(UserError, match=r"there is no gone\.mp4, which it names, nor lost\.\* with picture"):
        found.find(naming(MediaLink("gone.mp4"), stem="lost"), None)


def test_of_several_films_the_user_chooses(tmp_path: Path) -> None:
    found = films(tmp_path, "a_left.mp4", "a_right.mp4", "b/c.mp4", "d/c.mp4")
    cameras = naming(MediaLink("a_left.mp4", 1), MediaLink("a_right.mp4", 2), MediaLink("a.wav"))
    with pytest.raises(
        UserError, match=r"choose one by --camera NUMBER or NAME, of 1 a_left\.mp4, 2 a_right"
    ):
        found.find(cameras, None)
    assert found.find(cameras, "2").origin_ms == 2
    assert found.find(cameras, "*left*").origin_ms == 1
    with pytest.raises(UserError, match=r"--camera a\* is 2 of"):
        found.find(cameras, "a*")
    with pytest.raises(UserError, match=r"c\.mp4 may be either of"):
        found.find(naming(MediaLink("c.mp4")), None)
