"""What a media file contains, by its container, its packets and its first image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.media.decoding import audio_stream, decode, track, video_stream
from pipeline.media.frames import to_rgb
from pipeline.media.opening import MediaError, open_media
from pipeline.media.timeline import read_timeline


@dataclass(frozen=True)
class Probe:
    """What a media file contains."""

    duration_s: float = 0.0
    """0 where the file has no time stamps."""
    frame_count: int = 0
    frame_rate_hz: float = 0.0
    width_px: int = 0
    """Of the upright picture."""
    height_px: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    image_track: str = ""
    """Which of its pictures is used, such as ``1 of 2``; empty without one."""
    audio_track: str = ""
    """Which of its sound tracks is used; empty without one."""
    image_problem: str = ""
    audio_problem: str = ""


def probe(path: Path) -> Probe:
    """What a file contains; a file that cannot be opened has the reason as both its problems."""
    try:
        timeline = read_timeline(path)
        with open_media(path) as container:
            found: dict[str, Any] = {"duration_s": round(timeline.end_s, 6)}
            try:
                picture = video_stream(container)
                found["image_track"] = track(container, picture)
                found["frame_rate_hz"] = round(float(picture.average_rate or 0), 6)
                found["height_px"], found["width_px"] = to_rgb(next(decode(container, picture))).shape[:2]
                found["frame_count"] = len(timeline.pictures_s)
            except MediaError as error:
                found["image_problem"] = str(error)
            try:
                sound = audio_stream(container)
                found["audio_track"] = track(container, sound)
                found |= {"sample_rate_hz": sound.sample_rate, "channels": sound.channels}
            except MediaError as error:
                found["audio_problem"] = str(error)
            return Probe(**found)
    except MediaError as error:
        return Probe(image_problem=str(error), audio_problem=str(error))
