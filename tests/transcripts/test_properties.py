"""Of whatever is said, no utterance is lost and no text changed; whatever a file holds, no reader fails."""

from __future__ import annotations

import html
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.corpora.annotations.cells import one_line
from pipeline.errors import UserError
from pipeline.transcripts.importing import Wanted, import_transcripts
from pipeline.transcripts.reading import How, formats, read_transcripts
from pipeline.transcripts.turns import Choice
from tests.transcripts.made import Eaf, text_grid

FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)

Talk = list[tuple[str, int, int, str]]
"""Speaker, start and end in ms, text."""

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=30).map(one_line)
TALKS = st.lists(
    st.tuples(
        st.sampled_from(["Ann", "Zoë B."]), st.integers(0, 10**7), st.integers(1, 10**5), TEXTS.filter(bool)
    ),
    min_size=1,
    max_size=8,
).map(lambda talk: [(who, start, start + length, text) for who, start, length, text in talk])


def eaf(talk: Talk) -> str:
    made = Eaf()
    for who in dict.fromkeys(who for who, *_ in talk):
        made.aligned(who, [(start, end, text) for speaker, start, end, text in talk if speaker == who])
    return made.text()


def praat(talk: Talk) -> str:
    speakers = dict.fromkeys(who for who, *_ in talk)
    return text_grid(
        [(who, [(a / 1000, b / 1000, text) for each, a, b, text in talk if each == who]) for who in speakers]
    )


def clock(ms: int, point: str) -> str:
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def vtt(talk: Talk) -> str:
    cues = [
        f"{clock(a, '.')} --> {clock(b, '.')}\n<v {html.escape(who)}>{html.escape(text)}</v>"
        for who, a, b, text in talk
    ]
    return "\n\n".join(["WEBVTT", *cues, ""])


def whisper(talk: Talk) -> str:
    return json.dumps(
        {
            "segments": [
                {"start": a / 1000, "end": b / 1000, "text": f" {t}", "speaker": w} for w, a, b, t in talk
            ]
        }
    )


WRITERS: dict[str, tuple[str, Callable[[Talk], str]]] = {
    "eaf": (".eaf", eaf),
    "textgrid": (".TextGrid", praat),
    "subtitles": (".vtt", vtt),
    "whisper": (".json", whisper),
}


def test_every_format_has_its_properties() -> None:
    assert set(WRITERS) == set(formats())


@pytest.mark.parametrize("form", WRITERS)
@given(talk=TALKS)
@FEW
def test_every_utterance_is_imported_as_it_was_said(form: str, talk: Talk) -> None:
    suffix, write = WRITERS[form]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"talk{suffix}")
        path.write_text(write(talk), encoding="utf-8")
        try:
            found = import_transcripts([path], Wanted(choice=Choice(("*",))), None).rows
        except UserError as error:
            assert "exporters write for a gap" in str(error)  # noqa: PT017 - somebody says just NaN
            return
    assert [(row.start_ms, row.end_ms) for row in found] == sorted((a, b) for _, a, b, _ in talk)
    said = sorted((row.speaker, row.start_ms, row.end_ms, row.text) for row in found)
    assert said == sorted(talk)


@pytest.mark.parametrize("form", WRITERS)
@given(talk=TALKS, data=st.data())
@FEW
def test_a_damaged_file_is_read_or_refused_in_words(form: str, talk: Talk, data: st.DataObject) -> None:
    suffix, write = WRITERS[form]
    content = bytearray(write(talk).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content)))
        kind = data.draw(st.sampled_from(["cut", "put", "drop"]))
        if kind == "cut":
            del content[place:]
        elif kind == "drop":
            del content[place : place + data.draw(st.integers(1, 40))]
        else:
            content[place:place] = data.draw(
                st.sampled_from(
                    [b"<", b">", b'"', b"\n\n", b"-->", b"{", b"1e9", b"\0", b"\xff", b"[", b"-", b","]
                )
            )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"talk{suffix}")
        path.write_bytes(content)
        try:
            (transcript,) = read_transcripts([path], How())
        except UserError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
        else:
            assert all(mark.text == one_line(mark.text) for tier in transcript.tiers for mark in tier.marks)
