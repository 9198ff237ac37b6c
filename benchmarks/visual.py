"""The stages faces and visual against the plain recipe, on one clip of 3 s in 720p with a real face.

    python -m benchmarks.visual [rounds]

The plain recipe reads all frames, finds faces in all of them with facenet-pytorch's MTCNN, 20 at a
time, and gives each face to torchvision's ResNet-101.  Both use one thread, as a worker of the
pipeline does; seconds are those of the processor.  Limits: decoding, and the networks' operations
over the processor's peak.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from facenet_pytorch import MTCNN

from benchmarks.measure import flops, machine, peak_flops_per_s, time_in_turn
from benchmarks.portrait import FRAMES, write_portrait
from pipeline import runtime
from pipeline.encoders.face_vectors import ClipFaces, crop_face, embed_dialogue
from pipeline.encoders.visual.resnet import Params, find_encoder
from pipeline.faces.dialogues import find_faces_of_dialogue
from pipeline.media.clips import Clip
from pipeline.media.frames import read_frames
from pipeline.params import FacesParams, VisualParams

VISUAL = VisualParams()
ENCODER = Params(weights="untrained")
# A processor does not know what a GPU takes.
CLOCK = time.process_time if runtime.device() == "cpu" else time.perf_counter
CLIP = Clip("clip.mp4", sha256="", problem="")


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    encoder = find_encoder("visual.encoder", ENCODER, None)
    print(f"one clip of {FRAMES} frames in 720p, one thread; {machine()}")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_portrait(root / CLIP.path)
        faces = find_faces_of_dialogue([CLIP], root, FacesParams())
        found = ClipFaces(CLIP.path, "", faces["frame_index"], faces["box_px"])
        embed_dialogue([found], root, encoder, VISUAL)
        resnet = torchvision.models.resnet101(weights=None).eval()
        seconds = time_in_turn(
            rounds,
            CLOCK,
            faces=lambda: find_faces_of_dialogue([CLIP], root, FacesParams()),
            visual=lambda: embed_dialogue([found], root, encoder, VISUAL),
            plain=partial(plain_recipe, root / CLIP.path, MTCNN(keep_all=True), resnet),
            decoding=lambda: list(read_frames(root / CLIP.path, 20)),
        )
        [(_, frames)] = read_frames(root / CLIP.path, 20)
    ours_s = seconds["faces"] + seconds["visual"]
    print(
        f"faces {seconds['faces']:.2f} s and visual {seconds['visual']:.2f} s, {ours_s:.2f} s together;"
        f" the plain recipe {seconds['plain']:.1f} s, {seconds['plain'] / ours_s:.1f} times as long"
    )
    print(
        f"a worker does {60 / seconds['faces']:.1f} utterances a minute in faces,"
        f" {60 / seconds['visual']:.1f} in visual"
    )
    with torch.inference_mode():
        detection = flops(lambda: MTCNN(keep_all=True).detect(frames.images[0])) * len(frames.images)
        embedding = flops(lambda: resnet(torch.zeros(1, 3, 224, 224))) * len(found.box_px)
    peak = peak_flops_per_s(CLOCK)
    floor_s = 2 * seconds["decoding"] + (detection + embedding) / peak
    print(
        f"floor: decoding {seconds['decoding']:.2f} s, twice;"
        f" MTCNN {detection / peak:.2f} s and ResNet {embedding / peak:.2f} s"
        f" at {peak / 1e9:.0f} GFLOP/s; we take {ours_s / floor_s:.2f} times as long as their sum"
    )
    compare_precisions(rounds, resnet, frames.images, found)


def plain_recipe(path: Path, detector: MTCNN, resnet: torch.nn.Module) -> np.ndarray:
    """Mean embedding over all faces of all frames."""
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    embeddings = []
    for first in range(0, len(frames), 20):
        batch = np.stack(frames[first : first + 20])
        boxes, _ = detector.detect(batch)
        for frame, found in zip(batch, boxes, strict=True):
            for box in [] if found is None else found:
                with torch.inference_mode():
                    embeddings.append(resnet(normalised([crop_face(frame, box, 0.2, 224)])))
    return torch.cat(embeddings).mean(dim=0).numpy()


def normalised(crops: list[np.ndarray]) -> torch.Tensor:
    """Faces as float32 [F, 3, 224, 224], with ImageNet's mean and spread."""
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    return ((pixels - mean) / std).contiguous()


def compare_precisions(
    rounds: int, resnet: torch.nn.Module, images: list[np.ndarray], found: ClipFaces
) -> None:
    """Print ResNet-101's speed by memory format and precision, and how far the results agree."""
    crops = [crop_face(image, box, 0.2, 224) for image, box in zip(images, found.box_px, strict=True)][:8]
    pixels = normalised(crops)
    last = pixels.contiguous(memory_format=torch.channels_last)
    channels_last = torchvision.models.resnet101(weights=None).eval()
    channels_last.load_state_dict(resnet.state_dict())
    channels_last = channels_last.to(memory_format=torch.channels_last)
    bfloat16 = torchvision.models.resnet101(weights=None).eval()
    bfloat16.load_state_dict(resnet.state_dict())
    bfloat16 = bfloat16.to(torch.bfloat16, memory_format=torch.channels_last)
    encoder = find_encoder("visual.encoder", ENCODER, None)
    with torch.inference_mode():
        cosines = F.cosine_similarity(resnet(pixels), bfloat16(last.bfloat16()).float())
        seconds = time_in_turn(
            rounds,
            CLOCK,
            one_by_one=lambda: [resnet(face[None]) for face in pixels],
            together=lambda: resnet(pixels),
            channels_last=lambda: channels_last(last),
            bfloat16=lambda: bfloat16(last.bfloat16()),
            stage=lambda: encoder.embed(np.stack(crops)),
        )
        needed = flops(lambda: resnet(pixels))
    floor_s = needed / peak_flops_per_s(CLOCK)
    print(f"ResNet-101 on {len(crops)} faces, floor {floor_s:.2f} s:")
    for name, value in seconds.items():
        print(
            f"  {name.replace('_', ' ')}: {value:.2f} s, {value / seconds['one_by_one']:.2f} of one by one,"
            f" {value / floor_s:.2f} times the floor"
        )
    print(f"  bfloat16's least cosine to float32: {cosines.min():.6f} (untrained weights)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
