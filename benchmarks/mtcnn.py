"""The face detector against facenet-pytorch's MTCNN, on the same 20 frames of 720p.

    python -m benchmarks.mtcnn [rounds]

Limit: the operations of the networks' convolutions over the processor's peak.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from facenet_pytorch import MTCNN

from benchmarks.measure import flops, machine, peak_flops_per_s, time_in_turn, torch_threads
from benchmarks.portrait import portrait_frames
from pipeline.faces.detector import FaceDetector

FRAMES = 20


def main(rounds: int) -> None:
    frames = portrait_frames(FRAMES)
    reference = MTCNN(keep_all=True)
    detector = FaceDetector()
    compare(detector, reference, frames)
    with torch.inference_mode():
        per_frame = flops(lambda: reference.detect(frames[0]))
    print(f"{FRAMES} frames of 720p, smallest face 20 px; {machine()}")
    for threads in sorted({1, torch.get_num_threads()}):
        # Processor time where that is the time it takes; several threads also wait for each other.
        clock = time.process_time if threads == 1 else time.perf_counter
        with torch_threads(threads):
            detector.detect(list(frames[:1]))
            reference.detect(frames[:1])
            seconds = time_in_turn(
                rounds,
                clock,
                ours=lambda: detector.detect(list(frames)),
                together=lambda: reference.detect(frames, landmarks=True),
                singly=lambda: [reference.detect(frame, landmarks=True) for frame in frames],
            )
            floor_s = per_frame * FRAMES / peak_flops_per_s(clock)
        print(
            f"{threads} thread(s): ours {seconds['ours']:.2f} s;"
            f" facenet-pytorch {seconds['together']:.2f} s for all frames together"
            f" ({seconds['together'] / seconds['ours']:.2f} times as long),"
            f" {seconds['singly']:.2f} s for one after the other"
            f" ({seconds['singly'] / seconds['ours']:.2f} times)"
        )
        print(
            f"  floor {floor_s:.2f} s ({per_frame / 1e9:.1f} GFLOP a frame at peak):"
            f" we take {seconds['ours'] / floor_s:.1f} times as long"
        )


def compare(detector: FaceDetector, reference: MTCNN, frames: np.ndarray) -> None:
    """Print how far the faces of two of the frames lie apart."""
    found = detector.detect(list(frames[:2]))
    boxes, probabilities, landmarks = reference.detect(frames[:2], landmarks=True)
    assert found.image.tolist() == [0, 1] == [number for number in range(2) for _ in boxes[number]]
    for name, values, expected in (
        ("boxes", found.box_px, boxes),
        ("probabilities", found.probability, probabilities),
        ("landmarks", found.landmarks_px, landmarks),
    ):
        print(f"{name} differ by at most {np.abs(values - np.concatenate(expected)).max():.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
