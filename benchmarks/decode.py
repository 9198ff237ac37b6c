"""How long the networks wait for decoding: the share of each stage's time in which its network does not run.

    python -m benchmarks.decode [clips]

On a GPU threads decode ahead, as many as the pipeline uses there; 0 threads, for comparison, decode
between two clips.  On a CPU there are none, since every core has a worker: there the share is what
a second thread per core could win at most.  Limit: the rate of decoding.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import machine
from benchmarks.portrait import FRAMES, write_portrait
from pipeline import runtime
from pipeline.manifest import Medium
from pipeline.media import read_frames
from pipeline.mtcnn import FaceDetector
from pipeline.params import FacesParams, VisualParams
from stages import visual
from stages.faces import find_faces_of_dialogue
from stages.visual import ClipFaces

VISUAL = VisualParams(weights="untrained")


def main(clips: int) -> None:
    device, threads = runtime.device(), runtime.decode_threads()
    print(f"{clips} clips of {FRAMES} frames in 720p on {device}; {machine()}")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        media = [Medium(id=str(n), dialogue="d", path=f"{n}.mp4", frame_count=FRAMES) for n in range(clips)]
        write_portrait(root / media[0].path)
        for medium in media[1:]:
            shutil.copy(root / media[0].path, root / medium.path)
        faces = find_faces_of_dialogue(media[:1], root, FacesParams())
        found = [ClipFaces(medium.path, "", faces["frame_index"], faces["box_px"]) for medium in media]
        encoder = visual.find_encoder("visual.weights", VISUAL)
        visual.embed_dialogue(found[:1], root, encoder, VISUAL)
        for ahead in sorted({0, threads}):
            detect = partial(find_faces_of_dialogue, media, root, FacesParams())
            report("faces", FaceDetector, "detect", detect, clips, ahead)
            embed = partial(visual.embed_dialogue, found, root, encoder, VISUAL)
            report("visual", visual, "embed_faces", embed, clips, ahead)
        start = time.perf_counter()
        for medium in media:
            read_frames(root / medium.path, 20)
        decoding_s = time.perf_counter() - start
    print(f"decoding alone {decoding_s:.2f} s: {clips * FRAMES / decoding_s:.0f} frames/s of one thread")


def report(
    stage: str, owner: object, network: str, run: Callable[[], object], clips: int, threads: int
) -> None:
    """Print the time that a stage takes for the clips, and the share in which its network waits."""
    busy_s = 0.0
    compute = getattr(owner, network)

    def timed(*arguments: object) -> object:
        nonlocal busy_s
        start = time.perf_counter()
        result = compute(*arguments)  # results lie on the CPU: whatever the device does, it is done
        busy_s += time.perf_counter() - start
        return result

    with patch.object(owner, network, timed), patch.object(runtime, "decode_threads", lambda: threads):
        start = time.perf_counter()
        run()
        all_s = time.perf_counter() - start
    print(
        f"{stage}, {threads} thread(s) decode ahead: {all_s:.2f} s, {clips / all_s:.2f} utterances/s;"
        f" the network waits for {1 - busy_s / all_s:.1%} of it"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
