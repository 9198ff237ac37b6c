"""Encoders of sound and faces against their networks alone, called in a loop on input that is ready.

    python -m benchmarks.encoders [KIND ...]      # wavlm, whisper, clip, dinov2, facenet, scene

Networks have the published sizes and random weights, which take as long as trained ones. An utterance has
3 s of sound and 20 faces of 224 px, or 48 pictures of 720p. One thread and processor time, in turns; on a GPU
(MULTIEMO_DEVICE) the time that passes. Goal: at most 1.1 times the network alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facenet_pytorch import InceptionResnetV1
from safetensors.torch import save_file
from torchvision.models import get_model
from transformers import (
    AutoModel,
    BitImageProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
)
from transformers.utils import logging

from benchmarks.measure import MELD_UTTERANCES, machine, time_in_turn, torch_threads
from pipeline import runtime
from pipeline.encoders.audio import transformers as speech
from pipeline.encoders.visual import facenet, scene
from pipeline.encoders.visual import transformers as pictures
from pipeline.encoders.weights import find_local

KEY = "benchmark"
ROUNDS = 3
CORES = 2
SECONDS = 3
RANDOM = np.random.default_rng(0)
SOUND = RANDOM.uniform(-0.1, 0.1, SECONDS * 16_000).astype(np.float32)
FACES = RANDOM.integers(0, 256, (20, 224, 224, 3), np.uint8)

Pair = tuple[Callable[[], object], Callable[[], object]]
"""What an encoder does for an utterance, and what its network alone does on ready input."""


def main() -> None:
    wanted = sys.argv[1:] or list(MAKERS)
    logging.set_verbosity_error()  # of what is loaded in part
    device = runtime.device_name()
    clock = time.process_time if device == "cpu" else time.perf_counter
    print(f"{machine()}; networks on {device}")
    with torch_threads(1), tempfile.TemporaryDirectory() as temporary:
        for name in wanted:
            whole, by_itself = MAKERS[name](Path(temporary, name))
            whole()
            with torch.inference_mode():
                spent_s = time_in_turn(ROUNDS, clock, whole=whole, alone=by_itself)
            each = CORES if device == "cpu" else 1
            hours = spent_s["whole"] * MELD_UTTERANCES / each / 3600
            print(
                f"{name}: {60 / spent_s['whole']:.0f} utterances a minute and core,"
                f" {spent_s['whole'] / spent_s['alone']:.2f} times the network alone;"
                f" MELD on {f'{CORES} cores' if device == 'cpu' else 'it'} about {hours:.2f} hours"
            )


def alone(network: torch.nn.Module, values: torch.Tensor) -> Callable[[], object]:
    """One pass of a network on input that is where it computes."""
    device = runtime.device()
    network, values = network.to(device), values.to(device)

    def run() -> torch.Tensor:
        output: Any = network(values)
        tensor: torch.Tensor = output if isinstance(output, torch.Tensor) else next(iter(output.values()))
        return tensor.cpu()  # waits for a GPU

    return run


def wavlm(folder: Path) -> Pair:
    """WavLM-base-plus."""
    AutoModel.from_config(WavLMConfig()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return speech_pair(folder, torch.from_numpy(SOUND)[None])


def whisper(folder: Path) -> Pair:
    """Whisper-base's encoder, which reads 30 s whatever there is."""
    config = WhisperConfig(
        d_model=512,
        encoder_layers=6,
        encoder_attention_heads=8,
        encoder_ffn_dim=2048,
        decoder_layers=1,
        decoder_attention_heads=8,
    )
    AutoModel.from_config(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return speech_pair(folder, torch.zeros(1, 80, 3000))


def speech_pair(folder: Path, values: torch.Tensor) -> Pair:
    encoder = speech.find_encoder(KEY, speech.Params(weights=str(folder)), find_local(KEY, str(folder)))
    network = speech._load_model(encoder).network
    return lambda: encoder.embed(SOUND), alone(network, values)


def clip(folder: Path) -> Pair:
    """CLIP-B/32's pictures."""
    AutoModel.from_config(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return picture_pair(folder, CLIPVisionModelWithProjection)


def dinov2(folder: Path) -> Pair:
    """DINOv2-base."""
    AutoModel.from_config(Dinov2Config(image_size=518, patch_size=14)).save_pretrained(folder)
    size = {"height": 224, "width": 224}
    BitImageProcessor(size={"shortest_edge": 256}, crop_size=size).save_pretrained(folder)
    return picture_pair(folder, AutoModel)


def picture_pair(folder: Path, kind: Any) -> Pair:
    encoder = pictures.find_encoder(KEY, pictures.Params(weights=str(folder)), find_local(KEY, str(folder)))
    network, values = kind.from_pretrained(folder).eval(), torch.rand(20, 3, 224, 224)
    return lambda: encoder.embed(FACES), alone(network, values)


def facenet_pair(folder: Path) -> Pair:
    """InceptionResnetV1 on faces of its own size."""
    folder.mkdir()
    network = InceptionResnetV1().eval()
    save_file(network.state_dict(), path := folder / "facenet.safetensors")
    encoder = facenet.find_encoder(KEY, facenet.Params(weights=str(path)), find_local(KEY, str(path)))
    faces, values = FACES[:, :160, :160].copy(), torch.rand(20, 3, 160, 160)
    return lambda: encoder.embed(faces), alone(network, values)


def scene_pair(folder: Path) -> Pair:
    """R(2+1)D-18 on three clips of whole pictures."""
    folder.mkdir()
    network = get_model("r2plus1d_18").eval()
    torch.save(network.state_dict(), path := folder / "r2plus1d_18.pth")
    encoder = scene.find_encoder(KEY, scene.Params(weights=str(path)), find_local(KEY, str(path)))
    picture, values = RANDOM.integers(0, 256, (720, 1280, 3), np.uint8), torch.rand(1, 3, 16, 128, 171)

    def whole() -> np.ndarray:
        return encoder.embed(np.stack([encoder.shrink(picture) for _ in range(48)]))

    once = alone(network, values)
    return whole, lambda: [once() for _ in range(3)]


MAKERS: dict[str, Callable[[Path], Pair]] = {
    "wavlm": wavlm,
    "whisper": whisper,
    "clip": clip,
    "dinov2": dinov2,
    "facenet": facenet_pair,
    "scene": scene_pair,
}


if __name__ == "__main__":
    main()
