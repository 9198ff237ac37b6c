"""The faces on the report's page are those that the encoder gets."""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from pipeline.encoders.face_vectors import crop_face
from pipeline.manifest import Medium
from pipeline.media.frames import frames_at
from pipeline.report.contact_sheet import draw_faces


def test_a_face_at_the_edge_is_shown_as_the_encoder_sees_it(tmp_path: Path) -> None:
    rows, columns = np.indices((48, 64))
    picture = np.stack([rows * 5, columns * 4, 255 - rows * 5], axis=2).astype(np.uint8)
    with av.open(tmp_path / "a.avi", "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=5, width=64, height=48, pix_fmt="yuvj420p")
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])
    box_px = np.array([-4, -6, 20, 24], np.float32)
    file = {
        "face_utterance": np.array([0]),
        "frame_index": np.array([0]),
        "box_px": box_px[None],
        "probability": np.array([0.9]),
    }
    cut = partial(crop_face, margin=0.2, size_px=64)
    (shown,) = draw_faces([Medium("u0", "d0", "a.avi")], file, tmp_path, cut)
    content = base64.b64decode(shown.data_uri.removeprefix("data:image/jpeg;base64,"))
    found = np.asarray(Image.open(io.BytesIO(content)))
    ((_, image),) = frames_at(tmp_path / "a.avi", [0])
    expected = cut(image, box_px)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3
    assert np.abs(found.astype(int) - expected[::-1]).mean() > 10
