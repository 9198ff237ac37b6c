"""Stage ``demo``: make the built-in demo corpus, a small stand-in for MELD in MELD's raw layout."""

from __future__ import annotations

from pathlib import Path

from pipeline import runtime
from pipeline.corpora.demo.corpus import build_demo_corpus
from pipeline.params import DEMO_ROOT, read_params


def main() -> None:
    """Build the corpus that params.yaml describes under ``demo`` and say what was made."""
    made = build_demo_corpus(read_params().demo, Path(DEMO_ROOT), workers=runtime.workers())
    print(
        f"demo: {made.utterances} utterances in {made.dialogues} dialogues, "
        f"{made.video_s:.1f} s of video, in {DEMO_ROOT}"
    )
