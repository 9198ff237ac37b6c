"""Transcripts as tools write them, and media of a given length."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import av
import numpy as np

from pipeline.corpora.annotations.rows import Mistakes
from pipeline.transcripts.content import Mark, Transcript
from pipeline.transcripts.reading import How, read_transcripts

Times = tuple[int | None, int | None]


class Eaf:
    """An .eaf, put together piece by piece as ELAN writes it."""

    def __init__(self, units: str = "milliseconds") -> None:
        self._units = units
        self.media: list[str] = []
        self._slots: list[str] = []
        self._tiers: list[str] = []
        self._count = 0

    def medium(self, url: str, origin: int | None = None, **attributes: str) -> Eaf:
        """A medium that the header names."""
        given = {"MEDIA_URL": url, "MIME_TYPE": "video/mp4", **attributes}
        given |= {} if origin is None else {"TIME_ORIGIN": str(origin)}
        listed = " ".join(f"{name}={quoteattr(value)}" for name, value in given.items())
        self.media.append(f"<MEDIA_DESCRIPTOR {listed}/>")
        return self

    def aligned(
        self, tier: str, marks: Sequence[tuple[int | None, int | None, str]], **more: str
    ) -> list[str]:
        """A tier of annotations with times in the file's unit; their ids."""
        inner, ids = [], []
        for start, end, text in marks:
            slots = [self._slot(start), self._slot(end)]
            ids.append(self._id())
            inner.append(
                f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{ids[-1]}" TIME_SLOT_REF1="{slots[0]}"'
                f' TIME_SLOT_REF2="{slots[1]}"><ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE>'
                "</ALIGNABLE_ANNOTATION></ANNOTATION>"
            )
        self._tier(tier, inner, more)
        return ids

    def subdivided(self, tier: str, start: int, end: int, texts: Sequence[str]) -> None:
        """A tier whose annotations share a time, of which only the ends are known."""
        edges = [self._slot(start), *(self._slot(None) for _ in texts[1:]), self._slot(end)]
        inner = [
            f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{self._id()}" TIME_SLOT_REF1="{edges[place]}"'
            f' TIME_SLOT_REF2="{edges[place + 1]}"><ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE>'
            "</ALIGNABLE_ANNOTATION></ANNOTATION>"
            for place, text in enumerate(texts)
        ]
        self._tier(tier, inner, {})

    def referring(
        self, tier: str, marks: Sequence[tuple[str, str]], parent: str, first: bool = False
    ) -> list[str]:
        """A tier of annotations of another tier's, by their ids; their own ids."""
        ids = [self._id() for _ in marks]
        inner = [
            f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{id}" ANNOTATION_REF="{of}">'
            f"<ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
            for id, (of, text) in zip(ids, marks, strict=True)
        ]
        self._tier(tier, inner, {"PARENT_REF": parent}, first)
        return ids

    def text(self) -> str:
        """The file."""
        slots = "".join(reversed(self._slots))  # their order says nothing
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">\n'
            f'<HEADER MEDIA_FILE="" TIME_UNITS="{self._units}">{"".join(self.media)}</HEADER>\n'
            f"<TIME_ORDER>{slots}</TIME_ORDER>\n" + "\n".join(self._tiers) + "\n</ANNOTATION_DOCUMENT>\n"
        )

    def write(self, path: Path) -> Path:
        """Write the file as UTF-8."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(), encoding="utf-8")
        return path

    def _id(self) -> str:
        self._count += 1
        return f"a{self._count}"

    def _slot(self, value: int | None) -> str:
        name = f"ts{len(self._slots) + 1}"
        told = "" if value is None else f' TIME_VALUE="{value}"'
        self._slots.append(f'<TIME_SLOT TIME_SLOT_ID="{name}"{told}/>')
        return name

    def _tier(self, tier: str, inner: list[str], more: dict[str, str], first: bool = False) -> None:
        listed = "".join(f" {name}={quoteattr(value)}" for name, value in more.items())
        whole = f'<TIER LINGUISTIC_TYPE_REF="t" TIER_ID={quoteattr(tier)}{listed}>{"".join(inner)}</TIER>'
        self._tiers.insert(0, whole) if first else self._tiers.append(whole)


def text_grid(tiers: Sequence[tuple[str, Sequence[tuple[float, float, str]]]], end_s: float = 100.0) -> str:
    """A long TextGrid, as Praat writes it; gaps are not filled."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {end_s} "]
    lines += ["tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (name, intervals) in enumerate(tiers, 1):
        quoted = name.replace('"', '""')
        lines += [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{quoted}" ']
        lines += [
            "        xmin = 0 ",
            f"        xmax = {end_s} ",
            f"        intervals: size = {len(intervals)} ",
        ]
        for place, (start, end, text) in enumerate(intervals, 1):
            said = text.replace('"', '""')
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {start} ",
                f"            xmax = {end} ",
            ]
            lines += [f'            text = "{said}" ']
    return "\n".join(lines) + "\n"


def read(path: Path, content: str | bytes, how: How = How()) -> Transcript:  # noqa: B008
    """A file of this content, read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_transcripts([path], how)[0]


def told(marks: Sequence[Mark]) -> list[tuple[int, int | None, str, str]]:
    """What marks say, without where they stand."""
    return [(mark.start_ms, mark.end_ms, mark.speaker, mark.text) for mark in marks]


def write_film(path: Path, seconds: float = 4) -> Path:
    """A few grey pictures of this length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        picture = container.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")
        for _ in range(round(10 * seconds)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8))
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
    return path


def write_sound(path: Path, seconds: float = 4) -> Path:
    """Silence of this length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, round(8000 * seconds), "NONE", ""))
        sound.writeframes(bytes(2 * round(8000 * seconds)))
    return path


__all__ = ["Eaf", "Mistakes", "read", "text_grid", "told", "write_film", "write_sound"]
