"""Faces -> one vector per utterance: cut out every face, embed it, pool [3.3.3]; or whole pictures [5.3].

Writes visual.h5: features float32 [N, D]; D is 1000 for the head of the paper's ResNet-101.  With
``pooling: speaker`` also ``speaker_evidence`` and ``speaker_track`` [N]: why which track counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import runtime
from pipeline.encoders.face_vectors import ClipFaces, embed_dialogue
from pipeline.encoders.scene_vectors import embed_scenes
from pipeline.encoders.speaker_vectors import NO_CHOICE, TrackedFaces, count_evidence, embed_speakers
from pipeline.encoders.visual import KINDS, FrameEncoder, VisualEncoder, finds_faces, finds_speakers
from pipeline.encoders.weights import find_encoder
from pipeline.manifest import Medium, by_dialogue, read_media, read_utterances
from pipeline.media.clips import Clip, image_clip
from pipeline.params import CorpusParams, read_params
from pipeline.store.h5 import Arrays
from pipeline.work.stagefile import ExtractionStage, no_vectors, read_stage_file, run_extraction, write_unused

LIBRARIES = ("pillow", "numpy", "av")
WHO_IS_WHO_LIBRARIES = ("scipy", "scikit-learn")


def main(corpus: str) -> None:
    """Write ``data/<corpus>/visual.h5``."""
    params = read_params().corpus(corpus)
    if "visual" not in params.modalities:
        return write_unused("visual", corpus)
    folder = Path("data", corpus)
    media = read_media(folder / "media.csv")
    encoder = find_encoder(KINDS, corpus, params, "visual")
    print(f"visual: {encoder.description}", flush=True)
    describe: Any = _of_scenes
    if finds_faces(corpus, params):
        describe = _of_speakers if finds_speakers(corpus, params) else _of_faces
    stage, clips = describe(folder, media, encoder, params)
    dialogues = {name: [clips[row.id] for row in rows] for name, rows in by_dialogue(media).items()}
    run_extraction(corpus, stage, dialogues, [row.id for row in media], params.max_unobserved.visual)


def _of_faces(
    folder: Path, media: Sequence[Medium], encoder: VisualEncoder, params: CorpusParams
) -> tuple[ExtractionStage[ClipFaces], dict[str, ClipFaces]]:
    """The stage, and each utterance's clip with the faces that were found in it."""
    stage, faces = _read_faces(folder, media, encoder, params)
    return stage, _faces_by_clip(media, faces)


def _read_faces(
    folder: Path, media: Sequence[Medium], encoder: VisualEncoder, params: CorpusParams
) -> tuple[ExtractionStage[ClipFaces], Arrays]:
    """The stage in which all faces count, and the arrays of faces.h5."""
    faces, detection = read_stage_file(folder / "faces.h5", [row.id for row in media])
    face_keys = dict(zip(faces["dialogue"].tolist(), faces["item_key"].tolist(), strict=True))
    stage = ExtractionStage(
        name="visual",
        modality="visual",
        function=partial(embed_dialogue, root=params.folder, encoder=encoder, params=params.visual),
        inputs=lambda dialogue, clips: face_keys[dialogue],
        settings=_settings(params, encoder),
        libraries=(*encoder.libraries, *LIBRARIES),
        empty=no_vectors(encoder.dimension) | {"device": np.empty(0, str)},
        about={"encoder": encoder.description, "faces": detection},
        workers=runtime.model_workers(),
    )
    return stage, faces


def _of_speakers(
    folder: Path, media: Sequence[Medium], encoder: VisualEncoder, params: CorpusParams
) -> tuple[ExtractionStage[TrackedFaces], dict[str, TrackedFaces]]:
    """The same where only the speaker's face counts."""
    of_all: Any  # its rows are other ones
    of_all, faces = _read_faces(folder, media, encoder, params)
    stage = replace(
        of_all,
        function=partial(embed_speakers, root=params.folder, encoder=encoder, params=params.visual),
        inputs=lambda dialogue, clips: [of_all.inputs(dialogue, []), *(clip.name for clip in clips)],
        empty=of_all.empty | NO_CHOICE,
        libraries=(*of_all.libraries, *(WHO_IS_WHO_LIBRARIES if params.visual.who_is_who else ())),
        per_utterance=("features", "speaker_evidence", "speaker_track"),
        figures=count_evidence,
    )
    speakers = [""] * len(media)
    if params.visual.who_is_who:
        speakers = [row.speaker for row in read_utterances(folder / "utterances.csv")]
    spans = map(slice, *zip(*pairwise(_edges(media, faces)), strict=True))
    clips = {
        id: TrackedFaces(clip, faces["track"][span], faces["speaking"][span], speaker)
        for (id, clip), span, speaker in zip(
            _faces_by_clip(media, faces).items(), spans, speakers, strict=True
        )
    }
    return stage, clips


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
    edges = _edges(media, faces)
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


def _edges(media: Sequence[Medium], faces: Arrays) -> list[int]:
    """Where each utterance's faces begin, and where the last one's end."""
    edges: list[int] = np.searchsorted(faces["face_utterance"], np.arange(len(media) + 1)).tolist()
    return edges


def _settings(params: CorpusParams, encoder: VisualEncoder) -> dict[str, Any]:
    # At its default it changes nothing.
    left_out = {"encoder"} | ({"who_is_who"} if not params.visual.who_is_who else set())
    return {"params": params.visual.model_dump(mode="json", exclude=left_out), **encoder.settings}
