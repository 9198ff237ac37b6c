"""A clip as corpora have them: 3 s of 720p at 25 frames/s, a real face that moves before a background."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image
from skimage import data

WIDTH_PX, HEIGHT_PX = 1280, 720
FRAME_RATE_HZ = 25
FRAMES = 75


def portrait_frames(count: int) -> np.ndarray:
    """RGB uint8 [count, 720, 1280, 3]: skimage's photograph of Eileen Collins, moving to the right."""
    background = np.asarray(Image.fromarray(data.coffee()).resize((WIDTH_PX, HEIGHT_PX)))
    portrait = data.astronaut()
    frames = np.repeat(background[None], count, axis=0)
    for number, frame in enumerate(frames):
        left = 300 + 4 * number
        frame[100:612, left : left + 512] = portrait
    return frames


def write_portrait(path: Path) -> None:
    """The clip as H.264."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ, width=WIDTH_PX, height=HEIGHT_PX)
        stream.pix_fmt = "yuv420p"
        for frame in portrait_frames(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
