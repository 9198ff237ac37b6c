"""How long the manifest of 14,000 small clips takes, at first and when nothing has changed.

    python -m benchmarks.manifest [clips]

Limits: the first run reads, digests and probes every file; the second asks for sizes and times.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from ruamel.yaml import YAML

from benchmarks.measure import run_stage
from pipeline.corpora.table import COLUMNS
from pipeline.store.code import PROJECT


def main(clips: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        content = small_clip(project / "clip.mp4")
        for path in make_corpus(project, clips, ".mp4"):
            path.write_bytes(content)
        first_s, second_s = (run_stage(project, "manifest", "demo") for _ in range(2))
    print(f"manifest of {clips} clips of {len(content)} bytes on {os.cpu_count()} cores:")
    print(f"first run {first_s:.1f} s, second run {second_s:.1f} s, {first_s / second_s:.0f} times as fast")


def make_corpus(project: Path, clips: int, suffix: str) -> list[Path]:
    """A table of clips in dialogues of ten, and its entry demo; where each clip is to be."""
    root = project / "raw"
    root.mkdir(parents=True)
    media = [f"{number}{suffix}" for number in range(clips)]
    rows = [(f"d{n // 10}", n % 10, "A", "Hi.", "joy", "train", name) for n, name in enumerate(media)]
    with (root / "annotations.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    yaml = YAML()
    params = yaml.load(PROJECT / "params.yaml")
    entry = {"format": "table", "root": "raw", "modalities": ["audio", "visual"]}  # no text to learn from
    params["corpora"]["demo"] |= entry
    yaml.dump(params, project / "params.yaml")
    return [root / name for name in media]


def small_clip(path: Path) -> bytes:
    """Five pictures of 64 x 48 with a moment of sound."""
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for grey in range(0, 100, 20):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), "rgb24")
            container.mux(video.encode(picture))
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        block.sample_rate = 16000
        container.mux([*video.encode(), *audio.encode(block), *audio.encode()])
    return path.read_bytes()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 14_000)
