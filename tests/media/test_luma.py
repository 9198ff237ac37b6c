from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.manifest import Medium
from pipeline.media.decoding import MediaError
from pipeline.media.frames import frames_at
from pipeline.media.luma import luma_at


def test_luma_is_that_of_the_same_frames_at_their_times(demo_root: Path, sound_clip: Medium) -> None:
    path = demo_root / sound_clip.path
    numbers = [3, 4, 17]
    seen = list(luma_at(path, numbers))
    assert [frame.number for frame in seen] == numbers
    assert [frame.time_s for frame in seen] == pytest.approx([0.12, 0.16, 0.68], abs=0.002)
    for frame, (_, rgb) in zip(seen, frames_at(path, numbers), strict=True):
        assert frame.luma.shape == rgb.shape[:2]
        grey = rgb @ np.array([0.299, 0.587, 0.114])
        assert np.corrcoef(frame.luma.ravel(), grey.ravel())[0, 1] > 0.995


def test_a_frame_that_is_not_there_is_an_error_that_names_it(demo_root: Path, sound_clip: Medium) -> None:
    with pytest.raises(MediaError, match="frame 99999 cannot be decoded"):
        list(luma_at(demo_root / sound_clip.path, [0, 99999]))
