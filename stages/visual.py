"""Faces -> one vector per utterance: cut out every face, embed it with a ResNet, pool [3.3.3].

Writes visual.h5: features float32 [N, D]; D is 1000 for the head of the paper's ResNet-101.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline import runtime
from pipeline.encoders.pretrained import prepare_torch
from pipeline.encoders.resnets.namings import IMAGENET, Normalisation
from pipeline.encoders.resnets.network import (
    ARCHITECTURES,
    Architecture,
    ResNet,
    build_untrained,
    fold_batch_norms,
)
from pipeline.encoders.resnets.weights_file import load_checkpoint
from pipeline.encoders.weights import find_weights
from pipeline.errors import UserError
from pipeline.manifest import Medium, by_dialogue, read_media
from pipeline.media.clips import map_ahead
from pipeline.media.decoding import MediaError
from pipeline.media.frames import frames_at
from pipeline.params import UNTRAINED, VisualParams, read_params
from pipeline.store.h5 import Arrays
from pipeline.work.stagefile import ExtractionStage, no_vectors, read_stage_file, run_extraction, write_unused

BATCH_FACES = 20
UNTRAINED_HEAD = 1000


@dataclass(frozen=True)
class ClipFaces:
    """A clip and the faces found in it: what a worker needs to embed them."""

    path: str
    """Relative to the corpus root."""
    reason: str
    """Why there are no faces; empty where there are some."""
    frame_index: np.ndarray
    """int64 [F], ascending: the frame of each face."""
    box_px: np.ndarray
    """float32 [F, 4]: left, top, right, bottom; the largest face of a frame first."""

    def largest(self) -> ClipFaces:
        """The same clip with the largest face of each frame."""
        left, top, right, bottom = self.box_px.T
        by_frame_and_size = np.lexsort((-(right - left) * (bottom - top), self.frame_index))
        _, first_of_frame = np.unique(self.frame_index[by_frame_and_size], return_index=True)
        kept = by_frame_and_size[first_of_frame]
        return replace(self, frame_index=self.frame_index[kept], box_px=self.box_px[kept])


@dataclass(frozen=True)
class Encoder:
    """Which network embeds the faces, and which of its layers is the embedding."""

    path: Path | None
    """Weights that ``load_checkpoint`` reads; None for untrained ones."""
    architecture: Architecture
    params: VisualParams
    dimension: int
    """D, of its embeddings."""
    description: str
    """In plain words."""
    normalisation: Normalisation
    digest: dict[str, str]
    """What defines its weights."""


def main(corpus: str) -> None:
    """Write ``data/<corpus>/visual.h5``."""
    params = read_params().corpus(corpus)
    if "visual" not in params.modalities:
        return write_unused("visual", corpus)
    if params.visual.features_file is not None:  # the stage features takes them from there
        return write_unused("visual", corpus, "visual.features_file names its result")
    folder = Path("data", corpus)
    media = read_media(folder / "media.csv")
    faces, detection = read_stage_file(folder / "faces.h5", [clip.id for clip in media])
    encoder = find_encoder(f"corpora.{corpus}.visual.weights", params.visual)
    print(f"visual: {encoder.description}", flush=True)
    clips = _faces_by_clip(media, faces)
    face_keys = dict(zip(faces["dialogue"].tolist(), faces["item_key"].tolist(), strict=True))
    stage = ExtractionStage(
        name="visual",
        modality="visual",
        function=partial(embed_dialogue, root=params.folder, encoder=encoder, params=params.visual),
        inputs=lambda dialogue, clips: face_keys[dialogue],
        settings={
            # Weights count by their content, wherever they lie.
            "params": params.visual.model_dump(
                mode="json", exclude={"weights", "sha256", "seed", "features_file", "features_sha256"}
            ),
            "weights": encoder.digest,
        },
        libraries=("torch", "pillow", "numpy", "av"),
        empty=no_vectors(encoder.dimension),
        about={
            "encoder": encoder.description,
            "normalisation": encoder.normalisation.name,
            "faces": detection,
        },
        workers=runtime.model_workers(),
    )
    dialogues = {name: [clips[row.id] for row in rows] for name, rows in by_dialogue(media).items()}
    run_extraction(corpus, stage, dialogues, [clip.id for clip in media], params.max_unobserved.visual)


def embed_dialogue(clips: Sequence[ClipFaces], root: Path, encoder: Encoder, params: VisualParams) -> Arrays:
    """Features and reasons of all clips of a dialogue, decoding every file once."""
    if params.pooling == "largest":
        clips = [clip.largest() for clip in clips]
    features = np.zeros((len(clips), encoder.dimension), np.float32)
    reasons = [clip.reason for clip in clips]
    places_by_file: dict[str, list[int]] = {}
    for place, clip in enumerate(clips):
        if not clip.reason:
            places_by_file.setdefault(clip.path, []).append(place)

    def attempt(path: str) -> list[np.ndarray] | MediaError:
        try:
            return cut_faces(root / path, [clips[place] for place in places_by_file[path]], params)
        except MediaError as error:
            return error

    ahead = map_ahead(attempt, places_by_file, runtime.decode_threads())
    for places, crops in zip(places_by_file.values(), ahead, strict=True):
        if isinstance(crops, MediaError):
            for place in places:
                reasons[place] = str(crops)
            continue
        for place, faces in zip(places, crops, strict=True):
            # Batches never mix clips, so that a clip's vector does not depend on its neighbours.
            embeddings = embed_faces(faces, encoder)
            features[place] = pool(embeddings, clips[place].frame_index, params.pooling)
    return {"features": features, "reason": np.array(reasons)}


def cut_faces(path: Path, clips: Sequence[ClipFaces], params: VisualParams) -> list[np.ndarray]:
    """The faces of each clip of a file, uint8 [F, size, size, 3]; MediaError if it cannot be decoded."""
    crops = [
        np.empty((len(clip.box_px), params.crop_size_px, params.crop_size_px, 3), np.uint8) for clip in clips
    ]
    for number, image in frames_at(path, {int(number) for clip in clips for number in clip.frame_index}):
        for clip, faces in zip(clips, crops, strict=True):
            for face in np.flatnonzero(clip.frame_index == number):
                faces[face] = crop_face(image, clip.box_px[face], params.crop_margin, params.crop_size_px)
    return crops


def pool(embeddings: np.ndarray, frame_index: np.ndarray, pooling: str) -> np.ndarray:
    """One vector [D] from those of all faces [F, D] of a clip, which lie frame by frame."""
    if pooling == "frames":
        frames = [embeddings[frame_index == number].mean(axis=0) for number in np.unique(frame_index)]
        return np.mean(frames, axis=0)
    return embeddings.mean(axis=0)


def crop_face(image: np.ndarray, box_px: np.ndarray, margin: float, size_px: int) -> np.ndarray:
    """A face as RGB uint8 [size, size, 3], cut as a square around its box and resized with antialiasing.

    The square is the box's longer side plus ``margin`` of it on each side; beyond the picture, the
    picture's edge is repeated.
    """
    left, top, right, bottom = box_px.astype(float)
    half = max(right - left, bottom - top) * (0.5 + margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    square = np.array([x - half, y - half, x + half, y + half])
    height, width = image.shape[:2]
    beyond = math.ceil(max(0, -square.min(), square[2] - width, square[3] - height))
    padded = Image.fromarray(np.pad(image, ((beyond, beyond), (beyond, beyond), (0, 0)), mode="edge"))
    # Pillow's resize averages over the source pixels of each target pixel, at sub-pixel positions.
    face = padded.resize((size_px, size_px), Image.Resampling.BILINEAR, box=tuple(square + beyond))
    return np.asarray(face)


def embed_faces(crops: np.ndarray, encoder: Encoder) -> np.ndarray:
    """Embeddings float32 [F, D] of faces [F, size, size, 3]."""
    network = _load_network(encoder.path, encoder.architecture, encoder.params)
    weight = next(network.parameters())
    pixels = torch.from_numpy(crops).to(weight.device).permute(0, 3, 1, 2)
    penultimate = encoder.params.output == "penultimate"
    embeddings = []
    with torch.inference_mode():
        for faces in pixels.split(BATCH_FACES):
            given = encoder.normalisation.apply(faces).to(weight.dtype)
            given = given.contiguous(memory_format=torch.channels_last)
            embeddings.append(network(given, penultimate).float().cpu())
    return torch.cat(embeddings).numpy()


def _faces_by_clip(media: Sequence[Medium], faces: Arrays) -> dict[str, ClipFaces]:
    """Utterance id -> its clip with its faces."""
    edges = np.searchsorted(faces["face_utterance"], np.arange(len(media) + 1))
    return {
        clip.id: ClipFaces(
            path=clip.path,
            reason=str(faces["reason"][row]),
            frame_index=faces["frame_index"][edges[row] : edges[row + 1]],
            box_px=faces["box_px"][edges[row] : edges[row + 1]],
        )
        for row, clip in enumerate(media)
    }


def find_encoder(key: str, params: VisualParams) -> Encoder:
    """The encoder that the params name, checked whole; UserError, naming ``key``, if it cannot be used."""
    architecture = ARCHITECTURES[params.architecture]
    if params.weights == UNTRAINED:
        return Encoder(
            path=None,
            architecture=architecture,
            params=params,
            dimension=architecture.embedding_size if params.output == "penultimate" else UNTRAINED_HEAD,
            description=f"UNTRAINED {architecture.name} (random weights, seed {params.seed})",
            normalisation=IMAGENET,
            digest={UNTRAINED: f"{architecture.name}, seed {params.seed}"},
        )
    weights = find_weights(key, params.weights, params.sha256)
    found = load_checkpoint(key, weights.path, architecture, params.layout)
    if params.output == "head" and not found.head_size:
        raise UserError(f"{key}: {weights.path} holds no classification head; set output: penultimate")
    return Encoder(
        path=weights.path,
        architecture=architecture,
        params=params,
        dimension=architecture.embedding_size if params.output == "penultimate" else found.head_size,
        description=(
            f"{architecture.name} in the layout of {found.layout.name} from {params.weights}"
            f" (head of {found.head_size}, {params.output} layer; input: {found.layout.normalisation.name})"
        ),
        normalisation=found.layout.normalisation,
        digest=weights.digest,
    )


@cache
def _load_network(path: Path | None, architecture: Architecture, params: VisualParams) -> ResNet:
    """One network per process."""
    prepare_torch()
    if path is None:
        network = build_untrained(architecture, UNTRAINED_HEAD, params.seed)
    else:
        network = load_checkpoint("visual.weights", path, architecture, params.layout).network
    dtype = torch.bfloat16 if params.precision == "bfloat16" else torch.float32
    network = fold_batch_norms(network).to(runtime.device(), dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs
    return network
