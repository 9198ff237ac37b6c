"""JSON of the Whisper family: its shapes, and segments of several speakers, of none, and without an end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from tests.transcripts.made import read, told


def marks(path: Path, content: Any) -> list[tuple[int, int | None, str, str]]:
    return told(read(path, json.dumps(content)).tiers[0].marks)


def word(said: str, start: float | None, speaker: str | None) -> dict[str, Any]:
    times = {} if start is None else {"start": start, "end": start + 0.2, "score": 0.9}
    return {"word": said} | times | ({} if speaker is None else {"speaker": speaker})


def test_whisperx_segments_are_cut_where_the_speaker_changes(tmp_path: Path) -> None:
    words = [word("Is", 1.0, "SPEAKER_00"), word("it", 1.3, None), word("5?", None, "SPEAKER_01")]
    words += [word("No,", 2.0, "SPEAKER_01"), word("it", 2.2, "SPEAKER_00")]
    segments = [
        {"start": 0, "end": 0.9, "text": " Hello."},
        {"start": 1.0, "end": 3.0, "text": " Is it 5? No, it", "words": words, "speaker": "SPEAKER_00"},
        {"start": 2.999999999999996, "end": 4, "text": "", "words": [{"word": "x"}], "speaker": None},
    ]
    found = marks(tmp_path / "visit01.json", {"segments": segments, "word_segments": []})
    assert [(who, text) for *_, who, text in found] == [
        ("", "Hello."),
        ("visit01 SPEAKER_00", "Is it"),
        ("visit01 SPEAKER_01", "5? No,"),
        ("visit01 SPEAKER_00", "it"),
        ("", ""),
    ]
    assert [start for start, *_ in found] == [0, 1000, 1875, 2200, 3000]
    assert [end for _, end, *_ in found] == [900, 1875, 2200, 3000, 4000]


def test_a_word_whose_speaker_is_null_goes_with_the_one_before_it(tmp_path: Path) -> None:
    words = [word("Is", 1.0, "SPEAKER_00"), word("it", 1.3, None) | {"speaker": None}, word("No", 2.0, "B")]
    segments = [
        {"start": 1.0, "end": 3.0, "text": "Is it No", "words": words, "speaker": "SPEAKER_00"},
        {"start": 3.0, "end": 4.0, "text": "Is it", "words": words[1::-1], "speaker": "SPEAKER_00"},
    ]
    found = marks(tmp_path / "visit01.json", {"segments": segments})
    assert [(who, text) for *_, who, text in found] == [
        ("visit01 SPEAKER_00", "Is it"),
        ("visit01 B", "No"),
        ("visit01 SPEAKER_00", "Is it"),
    ]


def test_whisper_cpp_counts_milliseconds_and_numbers_its_speakers(tmp_path: Path) -> None:
    content = {
        "transcription": [
            {"offsets": {"from": 0, "to": 1500}, "text": " Hi", "speaker": "0", "speaker_turn_next": True},
            {"offsets": {"from": 1500, "to": 2000}, "text": " Oh", "speaker": "?"},
        ]
    }
    found = marks(tmp_path / "a.json", content)
    assert found == [(0, 1500, "a 0", "Hi"), (1500, 2000, "", "Oh")]


def test_chunks_without_an_end_last_until_the_next(tmp_path: Path) -> None:
    content = {"chunks": [{"timestamp": [0.0, None], "text": "a"}, {"timestamp": [2.5, None], "text": "b"}]}
    assert marks(tmp_path / "a.json", content | {"speakers": []}) == [
        (0, 2500, "", "a"),
        (2500, None, "", "b"),
    ]
    speakers = [{"speaker": "SPEAKER_00", "timestamp": [0, 1], "text": "a"}]
    assert marks(tmp_path / "a.json", content | {"speakers": speakers}) == [(0, 1000, "a SPEAKER_00", "a")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"segments": [{"start": 0, "end": 1, "text": "\xe4\xbd"}]}', "line 1: byte 0xe4 is not UTF-8"),
        ('{"transcription": [{"text": "a", }]}', "whisper.cpp writes a comma too many"),
        ('{"text": "a"}', "holds none of segments, transcription, chunks or speakers"),
        ("[1]", "holds none of"),
        ("[" * 100_000, "nested too deep"),
        ('{"segments": [{"start": "x", "end": 1, "text": "a"}]}', "segment 0: 'x' is no time"),
        ('{"segments": [{"start": 0, "end": 1}, 7]}', "segment 1: is no object"),
        ('{"segments": [{"start": NaN, "end": 1, "text": "a"}]}', "nan is no time"),
        ('{"segments": [{"start": 0, "end": 1, "text": "\\u0000"}]}', "U+0000"),
        ('{"segments": [{"start": 0, "end": 1, "text": "\\ud800"}]}', "U+D800"),
        ('{"segments": [{"start": 0, "end": 1, "text": "a", "speaker": []}]}', "a speaker that is no name"),
        ('{"segments": []}', "holds no segment"),
        ('{"transcription": [{"offsets": {"from": 1' + "0" * 400 + '}, "text": "a"}]}', "is no time"),
        ('{"segments": [{"start": 0, "end": 1, "text": "a b", "words": [{"word": "a", "speaker": "X"},'
         ' {"word": "c", "speaker": "Y"}]}]}', "words that are not those of its text"),
    ],
)  # fmt: skip
def test_what_is_no_transcript_is_refused_by_segment(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(UserError) as refused:
        read(tmp_path / "a.json", content)
    assert said in str(refused.value)
