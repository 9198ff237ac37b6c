"""How long the manifest of 14,000 small clips takes, at first and when nothing has changed.

    python -m benchmarks.manifest [clips]

Limits: the first run reads, digests and probes every file; the second asks for sizes and times.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from ruamel.yaml import YAML

PROJECT = Path(__file__).resolve().parent.parent
COLUMNS = ("dialogue", "utterance", "speaker", "text", "label", "split", "media")


def main(clips: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        root = project / "raw"
        root.mkdir()
        content = small_clip(project / "clip.mp4")
        rows = []
        for number in range(clips):
            (root / f"{number}.mp4").write_bytes(content)
            rows.append((f"d{number // 10}", number % 10, "A", "Hi.", "joy", "train", f"{number}.mp4"))
        with (root / "annotations.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        yaml = YAML()
        params = yaml.load(PROJECT / "params.yaml")
        params["corpora"]["demo"] |= {"format": "table", "root": str(root)}
        yaml.dump(params, project / "params.yaml")
        first_s, second_s = run_stage(project), run_stage(project)
    print(f"manifest of {clips} clips of {len(content)} bytes on {os.cpu_count()} cores:")
    print(f"first run {first_s:.1f} s, second run {second_s:.1f} s, {first_s / second_s:.0f} times as fast")


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


def run_stage(project: Path) -> float:
    """Seconds that the stage takes, the start of Python included."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "MULTIEMO_STORE": str(project / "store")}
    command = [sys.executable, "-m", "stages", "manifest", "demo"]
    start = time.perf_counter()
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 14_000)
