"""Faces -> one vector per utterance: cut out every face, embed it, pool [3.3.3]; or whole pictures [5.3].

Writes visual.h5: features float32 [N, D]; D is 1000 for the head of the paper's ResNet-101.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import runtime
from pipeline.encoders.face_vectors import ClipFaces, embed_dialogue
from pipeline.encoders.scene_vectors import embed_scenes
from pipeline.encoders.visual import KINDS, FrameEncoder, VisualEncoder, finds_faces
from pipeline.encoders.weights import find_encoder
from pipeline.manifest import Medium, by_dialogue, read_media
from pipeline.media.clips import Clip, image_clip
from pipeline.params import CorpusParams, read_params
from pipeline.store.h5 import Arrays
from pipeline.work.stagefile import ExtractionStage, no_vectors, read_stage_file, run_extraction, write_unused


def main(corpus: str) -> None:
    """Write ``data/<corpus>/visual.h5``."""
    params = read_params().corpus(corpus)
    if "visual" not in params.modalities:
        return write_unused("visual", corpus)
    folder = Path("data", corpus)
    media = read_media(folder / "media.csv")
    encoder = find_encoder(KINDS, corpus, params, "visual")
    print(f"visual: {encoder.description}", flush=True)
    describe: Any = _of_faces if finds_faces(corpus, params) else _of_scenes
    stage, clips = describe(folder, media, encoder, params)
    dialogues = {name: [clips[row.id] for row in rows] for name, rows in by_dialogue(media).items()}
    run_extraction(corpus, stage, dialogues, [row.id for row in media], params.max_unobserved.visual)


def _of_faces(
    folder: Path, media: Sequence[Medium], encoder: VisualEncoder, params: CorpusParams
) -> tuple[ExtractionStage[ClipFaces], dict[str, ClipFaces]]:
    """The stage, and each utterance's clip with the faces that were found in it."""
    faces, detection = read_stage_file(folder / "faces.h5", [row.id for row in media])
    face_keys = dict(zip(faces["dialogue"].tolist(), faces["item_key"].tolist(), strict=True))
    stage = ExtractionStage(
        name="visual",
        modality="visual",
        function=partial(embed_dialogue, root=params.folder, encoder=encoder, params=params.visual),
        inputs=lambda dialogue, clips: face_keys[dialogue],
        settings={
            "params": params.visual.model_dump(mode="json", exclude={"encoder"}),
            **encoder.settings,
        },
        libraries=(*encoder.libraries, "pillow", "numpy", "av"),
        empty=no_vectors(encoder.dimension) | {"device": np.empty(0, str)},
        about={"encoder": encoder.description, "faces": detection},
        workers=runtime.model_workers(),
    )
    return stage, _faces_by_clip(media, faces)


def _of_scenes(
    folder: Path, media: Sequence[Medium], encoder: FrameEncoder, params: CorpusParams
) -> tuple[ExtractionStage[Clip], dict[str, Clip]]:
    """The stage, and each utterance's clip, whose pictures are used as a whole."""
    stage = ExtractionStage(
        name="visual",
        modality="visual",
        function=partial(embed_scenes, root=params.folder, encoder=encoder),
        inputs=lambda dialogue, clips: [clip.key for clip in clips],
        settings=encoder.settings,
        libraries=(*encoder.libraries, "numpy", "av"),
        empty=no_vectors(encoder.dimension) | {"device": np.empty(0, str)},
        about={"encoder": encoder.description},
        workers=runtime.model_workers(),
    )
    return stage, {row.id: image_clip(row) for row in media}


def _faces_by_clip(media: Sequence[Medium], faces: Arrays) -> dict[str, ClipFaces]:
    """Utterance id -> its clip with its faces."""
    edges = np.searchsorted(faces["face_utterance"], np.arange(len(media) + 1))
    return {
        clip.id: ClipFaces(
            path=clip.path,
            problem=str(faces["reason"][row]),
            frame_index=faces["frame_index"][edges[row] : edges[row + 1]],
            box_px=faces["box_px"][edges[row] : edges[row + 1]],
            utterance=clip.id,
        )
        for row, clip in enumerate(media)
    }
