"""Where the loudness of a clip lies on the picture's clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.media.clips import Clip
from pipeline.media.decoding import WHOLE, Span
from pipeline.speakers.loudness import FilmedClip, Loudness, iterate_loudness
from tests.media.seconds import write_seconds
from tests.media.test_audio import between, damage

DAMAGED_S = 1.5


def loudness(root: Path, clip: FilmedClip) -> Loudness:
    [(_, found)] = iterate_loudness([clip], root)
    assert isinstance(found, Loudness)
    return found


@pytest.mark.parametrize(("span", "start_s"), [(WHOLE, 1.5), (Span(1.0, 3.0), 1.5), (Span(2.2, 3.0), 2.2)])
def test_loudness_begins_with_the_first_sound_that_can_be_decoded(
    tmp_path: Path, span: Span, start_s: float
) -> None:
    write_seconds(
        tmp_path / "film.mkv", range(4), picture="mpeg4", sound="flac", change=between(0, DAMAGED_S, damage)
    )
    clip = Clip("film.mkv", "", "", span)
    found = loudness(tmp_path, FilmedClip(clip, clip))
    assert found.start_s == pytest.approx(start_s, abs=0.3)
    assert found.start_s + len(found.level_db) / 100 == pytest.approx(min(span.end_s, 4.0), abs=0.1)


def test_sound_of_a_file_of_its_own_begins_with_the_utterance_but_for_what_is_damaged(tmp_path: Path) -> None:
    write_seconds(tmp_path / "film.mkv", range(6), picture="mpeg4")
    image = Clip("film.mkv", "", "", Span(2.0, 5.0))
    for name, change, late_s in [
        ("whole.mkv", between(9, 9, damage), 0.0),
        ("damaged.mkv", between(0, DAMAGED_S, damage), DAMAGED_S),
    ]:
        write_seconds(tmp_path / name, range(3), sound="flac", change=change)
        found = loudness(tmp_path, FilmedClip(image, Clip(name, "", "")))
        assert found.start_s == pytest.approx(2.0 + late_s, abs=0.3)
