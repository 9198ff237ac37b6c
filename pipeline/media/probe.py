"""What a media file contains, by its container and its first image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from pipeline.media.decoding import MediaError, audio_stream, decode, open_media, video_stream
from pipeline.media.frames import frame_times_s, to_rgb


@dataclass(frozen=True)
class Probe:
    """What a media file contains, by its container and the first picture."""

    duration_s: float = 0.0
    frame_count: int = 0
    frame_rate_hz: float = 0.0
    width_px: int = 0
    """Of the upright picture."""
    height_px: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    image_problem: str = ""
    audio_problem: str = ""


def probe(path: Path) -> Probe:
    """What a file contains; a file that cannot be opened has the reason as both its problems."""
    try:
        with open_media(path) as container:
            found: dict[str, Any] = {
                "duration_s": round(container.duration / av.time_base, 6) if container.duration else 0.0
            }
            try:
                picture = video_stream(container)
                found["frame_rate_hz"] = round(float(picture.average_rate or 0), 6)
                found["height_px"], found["width_px"] = to_rgb(next(decode(container, picture))).shape[:2]
                found["frame_count"] = len(frame_times_s(path))
            except MediaError as error:
                found["image_problem"] = str(error)
            try:
                sound = audio_stream(container)
                found |= {"sample_rate_hz": sound.sample_rate, "channels": sound.channels}
            except MediaError as error:
                found["audio_problem"] = str(error)
            return Probe(**found)
    except MediaError as error:
        return Probe(image_problem=str(error), audio_problem=str(error))
