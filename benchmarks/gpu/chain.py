"""The demo from clips to scores on the GPU, and its features beside those of the CPU."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ruamel.yaml import YAML
from torchvision.ops import box_iou

from benchmarks.gpu.figures import Figures
from pipeline.manifest import read_media
from pipeline.store.code import PROJECT
from pipeline.store.h5 import Arrays
from pipeline.work.stagefile import read_stage_file
from stages.__main__ import main as run_stage

MADE_ON_CPU = ("demo", "code", "manifest", "weights")
EXTRACTION = ("faces", "visual", "audio")
TRAINING = ("finetune", "text", "features", "train", "evaluate", "compare")
WITHOUT_ENTRY = ("demo", "code", "compare")
SAME_FACE = 0.5
"""Intersection over union of two boxes."""


def main(figures: Figures, rehearse: bool) -> None:
    device = "cpu" if rehearse else "cuda"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_params(folder / "params.yaml", rehearse)
        run_stages(folder, MADE_ON_CPU, "cpu", "base")
        run_stages(folder, EXTRACTION, "cpu", "cpu")
        on_cpu = {name: folder / f"{name}.cpu.h5" for name in EXTRACTION}
        for name, path in on_cpu.items():
            (folder / f"data/demo/{name}.h5").rename(path)
        start = time.perf_counter()
        run_stages(folder, (*EXTRACTION, *TRAINING), device, "gpu")
        figures.add("the demo, from clips to scores", time.perf_counter() - start, "s", device)
        add_scores(figures, folder)
        data = folder / "data/demo"
        same = (data / "audio.h5").read_bytes() == on_cpu["audio"].read_bytes()
        figures.add("audio.h5 on both", "the same bytes" if same else "DIFFERENT bytes")
        ids = [row.id for row in read_media(data / "media.csv")]
        faces = [read_stage_file(path, ids)[0] for path in (on_cpu["faces"], data / "faces.h5")]
        add_faces(figures, *faces)
        visual = [read_stage_file(path, ids)[0] for path in (on_cpu["visual"], data / "visual.h5")]
        add_vectors(figures, *visual)
    if not rehearse:
        add_tests(figures)


def write_params(path: Path, rehearse: bool) -> None:
    """The project's params.yaml, for a rehearsal with a smaller demo."""
    yaml = YAML()
    params = yaml.load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    if rehearse:
        dialogues = {
            "train_dialogues": 1,
            "dev_dialogues": 1,
            "test_dialogues": 1,
            "utterances_per_dialogue": 2,
        }
        params["demo"].update(dialogues, faults=False)
        params["corpora"]["demo"]["finetune"]["epochs"] = 1
        params["models"]["demo"].update(epochs=2, seeds=[0])
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


def run_stages(folder: Path, stages: Sequence[str], device: str, store: str) -> None:
    """In a folder of their own, as DVC would run them; what they print is shown."""
    os.environ |= {"MULTIEMO_DEVICE": device, "MULTIEMO_STORE": str(folder / f"store-{store}")}
    for stage in stages:
        entry = [] if stage in WITHOUT_ENTRY else ["demo"]
        with contextlib.chdir(folder):
            if status := run_stage([stage, *entry]):
                raise SystemExit(status)


def add_scores(figures: Figures, folder: Path) -> None:
    """What the model trained on this device reaches: not the same bits as on another."""
    metrics = json.loads((folder / "data/models/demo/metrics.json").read_text(encoding="utf-8"))
    figures.add(
        "the demo's weighted F1 on test", metrics["test"]["weighted_f1"], "%", "dev decides, see README"
    )


def add_faces(figures: Figures, cpu: Arrays, gpu: Arrays) -> None:
    """How many faces only one of both finds, and how far the others lie apart."""
    boxes_px, probabilities, alone = [0.0], [0.0], 0
    total = len(cpu["box_px"])
    for found, other in ((cpu, gpu), (gpu, cpu)):
        place = np.stack([other["face_utterance"], other["frame_index"]])
        for number, box in enumerate(found["box_px"]):
            here = (place[0] == found["face_utterance"][number]) & (place[1] == found["frame_index"][number])
            overlaps = box_iou(torch.from_numpy(box[None]), torch.from_numpy(other["box_px"][here]))[0]
            if not len(overlaps) or overlaps.max() < SAME_FACE:
                alone += 1
                continue
            twin = np.flatnonzero(here)[int(overlaps.argmax())]
            boxes_px.append(float(np.abs(box - other["box_px"][twin]).max()))
            probabilities.append(float(abs(found["probability"][number] - other["probability"][twin])))
    figures.add("faces found by one device only", alone, "", f"of {total}: {alone / max(total, 1):.3%}")
    figures.add("largest difference of a box", max(boxes_px), "px")
    figures.add("largest difference of a probability", max(probabilities))


def add_vectors(figures: Figures, cpu: Arrays, gpu: Arrays) -> None:
    """How alike an utterance's vectors are."""
    observed = (cpu["reason"] == "") & (gpu["reason"] == "")
    differ = int(((cpu["reason"] == "") != (gpu["reason"] == "")).sum())
    left, right = (each["features"][observed].astype(np.float64) for each in (cpu, gpu))
    cosine = (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    figures.add("worst cosine of an utterance's visual vectors", f"1 - {1 - cosine.min():.1e}")
    largest = np.abs(left - right).max() / np.abs(left).max()
    figures.add("largest difference of a visual feature", largest, "", "of the largest value")
    figures.add("utterances with visual features on one device only", differ)


def add_tests(figures: Figures) -> None:
    """The tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", "tests"]
    run = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    print(run.stdout, flush=True)
    found = re.findall(r"\d+ (?:passed|failed|error)\w*", run.stdout)
    figures.add("tests for GPUs", ", ".join(found) or f"exit status {run.returncode}")
