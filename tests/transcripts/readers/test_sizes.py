"""What is too large for a transcript is refused before it takes time and memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.transcripts import content
from tests.transcripts.made import Eaf, read, text_grid

SPANS = [(place, place + 1, "x") for place in range(4)]


def of_four(suffix: str) -> str:
    if suffix == ".eaf":
        eaf = Eaf()
        eaf.aligned("Ann", SPANS)
        return eaf.text()
    if suffix == ".TextGrid":
        return text_grid([("Ann", SPANS)])
    if suffix == ".json":
        return json.dumps({"segments": [{"start": a, "end": b, "text": c} for a, b, c in SPANS]})
    return "WEBVTT\n\n" + "\n\n".join(f"00:0{a}.000 --> 00:0{b}.000\n{c}" for a, b, c in SPANS)


@pytest.mark.parametrize("suffix", [".eaf", ".TextGrid", ".json", ".vtt"])
def test_a_file_of_too_many_annotations_is_refused(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"talk{suffix}"
    monkeypatch.setattr(content, "MOST_MARKS", 4)
    assert len(read(path, of_four(suffix)).tiers[0].marks) == 4
    monkeypatch.setattr(content, "MOST_MARKS", 3)
    with pytest.raises(UserError, match="holds more than 3 annotations: is it one recording's transcript"):
        read(path, of_four(suffix))
