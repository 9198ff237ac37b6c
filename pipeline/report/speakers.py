"""What the report says and shows of whose face counts, where the speaker was looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pipeline.manifest import Medium
from pipeline.media.decoding import MediaError
from pipeline.media.frames import frames_at
from pipeline.report.contact_sheet import SHOWN, as_jpeg, spread
from pipeline.report.facts import Share
from pipeline.speakers.choice import LARGEST, LIPS, NAME
from pipeline.store.h5 import Arrays

WIDTH_PX = 320
CHOSEN, OTHERS = (255, 190, 0), (255, 255, 255)
IN_WORDS = {
    LIPS: "lips move with the sound",
    NAME: "is there whenever the name speaks",
    LARGEST: "largest face: nothing tells who speaks",
}


@dataclass(frozen=True)
class Speakers:
    """In how many of the utterances with faces the speaker was found, and how."""

    found: Share
    by_evidence: dict[str, Share]
    """In words."""


@dataclass(frozen=True)
class SpeakerPicture:
    """A frame, small, with all faces framed and the one that counts most boldly."""

    utterance: str
    evidence: str
    """In words."""
    height_px: int
    data_uri: str
    """JPEG."""


def describe_speakers(evidence: np.ndarray) -> Speakers:
    """The shares; ``evidence`` [N] as in visual.h5, empty for an utterance without a vector."""
    total = int((evidence != "").sum())
    shares = {words: Share(int((evidence == kind).sum()), total) for kind, words in IN_WORDS.items()}
    return Speakers(
        found=Share(total - int((evidence == LARGEST).sum()), total),
        by_evidence={words: share for words, share in shares.items() if share.count},
    )


def draw_speakers(
    media: Sequence[Medium], faces: Arrays, evidence: np.ndarray, track: np.ndarray, root: Path
) -> list[SpeakerPicture]:
    """Of utterances spread evenly the frame in the middle of the track that counts most; unreadable clips are
    left out."""
    pictures = []
    for row in spread(np.flatnonzero(evidence != ""), SHOWN):
        mine = np.flatnonzero(faces["face_utterance"] == row)
        of_track = mine[faces["track"][mine] == track[row]]
        chosen = int(of_track[len(of_track) // 2])
        number = int(faces["frame_index"][chosen])
        try:
            image = next(picture for _, picture in frames_at(root / media[row].path, [number]))
        except MediaError:
            continue
        others = [face for face in mine.tolist() if faces["frame_index"][face] == number and face != chosen]
        drawn = _frame(image, faces["box_px"][others], faces["box_px"][chosen])
        pictures.append(
            SpeakerPicture(media[row].id, IN_WORDS[str(evidence[row])], drawn.height, as_jpeg(drawn))
        )
    return pictures


def _frame(image: np.ndarray, others_px: np.ndarray, chosen_px: np.ndarray) -> Image.Image:
    scale = WIDTH_PX / image.shape[1]
    small = Image.fromarray(image).resize((WIDTH_PX, round(image.shape[0] * scale)), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(small)
    for box_px in others_px:
        draw.rectangle((box_px * scale).tolist(), outline=OTHERS)
    draw.rectangle((chosen_px * scale).tolist(), outline=CHOSEN, width=4)
    return small
