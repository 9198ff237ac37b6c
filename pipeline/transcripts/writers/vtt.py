"""WebVTT: a cue per utterance, ``[joy 0.71]`` before its words and the class for a player's colours."""

from __future__ import annotations

import re

from pipeline.transcripts.predicted import Recording

SUFFIX = ".vtt"
_CLASS = re.compile(r"[\w-]+", re.ASCII)


def write(recording: Recording) -> bytes:
    """A file that any player shows beside the film; cues may overlap, as utterances do."""
    blocks = ["WEBVTT", f"NOTE predicted by {_text(recording.model)}"]
    for each in sorted(recording.utterances, key=lambda each: (each.start_ms, each.end_ms)):
        said = f"[{_text(each.prediction)} {each.probability:.2f}]"
        if _CLASS.fullmatch(each.prediction):
            said = f"<c.{each.prediction}>{said}</c>"
        voice = f"<v {_text(each.speaker)}>" if each.speaker else ""
        times = f"{_clock(each.start_ms)} --> {_clock(each.end_ms)}"
        blocks.append(f"{times}\n{voice}{said} {_text(each.text)}".rstrip())
    return ("\n\n".join(blocks) + "\n").encode()


def _clock(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def _text(text: str) -> str:
    """Text that holds no tag, no arrow and no line end."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(escaped.split())
