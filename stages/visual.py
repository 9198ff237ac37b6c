"""Faces -> one vector per utterance: cut out every face, embed it with ResNet-101, pool [3.3.3].

Writes visual.h5: features float32 [N, 1000].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import ResNetConfig, ResNetForImageClassification

from pipeline import runtime
from pipeline.h5 import Arrays
from pipeline.manifest import Medium, by_dialogue, read_media
from pipeline.media import MediaError, frames_at
from pipeline.networks import load_pretrained, prepare_torch
from pipeline.params import UNTRAINED, VisualParams, read_params
from pipeline.stagefile import ExtractionStage, no_vectors, read_stage_file, run_extraction, write_unused
from pipeline.weights import find_model

# Mean and spread of ImageNet's RGB values in [0, 1], with which the encoder's training normalised.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BATCH_FACES = 20

# He et al. 2016, Table 1: four groups of 3, 4, 23 and 3 bottleneck blocks.
RESNET_101: dict[str, Any] = {
    "embedding_size": 64,
    "hidden_sizes": [256, 512, 1024, 2048],
    "depths": [3, 4, 23, 3],
    "layer_type": "bottleneck",
    "num_labels": 1000,
}


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
        """The same clip with one face per frame."""
        _, first_of_frame = np.unique(self.frame_index, return_index=True)
        return replace(self, frame_index=self.frame_index[first_of_frame], box_px=self.box_px[first_of_frame])


@dataclass(frozen=True)
class Encoder:
    """Which network embeds the faces."""

    folder: Path | None
    """A transformers model; None for untrained weights."""
    seed: int
    """Of untrained weights."""
    dimension: int
    """D, of its embeddings."""
    description: str
    """In plain words."""
    digest: dict[str, str]
    """What defines its weights."""


def main(corpus: str) -> None:
    """Write ``data/<corpus>/visual.h5``."""
    params = read_params().corpus(corpus)
    if "visual" not in params.modalities:
        return write_unused("visual", corpus)
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
            "params": params.visual.model_dump(mode="json", exclude={"weights", "seed"}),
            "weights": encoder.digest,
        },
        libraries=("torch", "transformers", "pillow", "numpy", "av"),
        empty=no_vectors(encoder.dimension),
        about={"encoder": encoder.description, "faces": detection},
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
    for path in dict.fromkeys(clip.path for clip in clips if not clip.reason):
        places = [place for place, clip in enumerate(clips) if clip.path == path and not clip.reason]
        try:
            crops = cut_faces(root / path, [clips[place] for place in places], params)
        except MediaError as error:
            for place in places:
                reasons[place] = str(error)
        else:
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
    network = _load_network(encoder.folder, encoder.seed)
    pixels = torch.from_numpy(crops).to(network.device).permute(0, 3, 1, 2).float() / 255
    mean, std = (pixels.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    normalised = ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        batches = [
            network(pixel_values=faces).logits.float().cpu() for faces in normalised.split(BATCH_FACES)
        ]
    return torch.cat(batches).numpy()


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
    """The encoder that the params name; UserError, naming ``key``, where there is no such model."""
    if params.weights == UNTRAINED:
        return Encoder(
            folder=None,
            seed=params.seed,
            dimension=RESNET_101["num_labels"],
            description=f"UNTRAINED ResNet-101 (random weights, seed {params.seed})",
            digest={UNTRAINED: f"{params.architecture}, seed {params.seed}"},
        )
    model = find_model(key, params.weights)
    config = ResNetConfig.from_pretrained(model.path)
    blocks = "-".join(map(str, config.depths or ()))
    return Encoder(
        folder=model.path,
        seed=params.seed,
        dimension=int(config.num_labels or 0),
        description=f"ResNet of {config.layer_type} blocks {blocks} from {params.weights}",
        digest=model.digest,
    )


@cache
def _load_network(folder: Path | None, seed: int) -> ResNetForImageClassification:
    """One network per process."""
    prepare_torch()
    if folder is not None:
        network = load_pretrained(ResNetForImageClassification, folder, "visual.weights")
    else:
        torch.manual_seed(seed)
        network = ResNetForImageClassification(ResNetConfig(**RESNET_101))
    return network.eval().to(runtime.device(), memory_format=torch.channels_last)
