"""A lab in small: clones of the project that extract one little corpus, kept outside of them."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import Clone, clone_to

EXTRACTED = ("faces.h5", "visual.h5", "audio.h5", "text.h5")
TARGETS = ("visual@demo", "audio@demo", "text@demo")

# What makes a run short.  The text encoder is frozen: fine-tuning is no matter of the store.
SMALL = (
    (
        "max_unobserved: {text: 0.05, audio: 0.1, visual: 0.1}",
        "max_unobserved: {text: 1.0, audio: 1.0, visual: 1.0}",
    ),
    ("crop_size_px: 96", "crop_size_px: 64"),
    ("faces: {min_face_size_px: 60}", "faces: {min_face_size_px: 60, frames_per_utterance: 4}"),
    ("finetune: {epochs: 3,", "finetune: {epochs: 0,"),
    ("    epochs: 20", "    epochs: 2"),
    ("    seeds: [0, 1, 2]", "    seeds: [0]"),
    (
        "encoder: {kind: opensmile}\n    window",
        "encoder: {kind: opensmile}\n      silence_dbfs: -70.0\n    window",
    ),
)


def lab_clone(folder: Path, corpus: Path, store: Path, **environment: str) -> Clone:
    """A clone whose only corpus lies in ``corpus``, with settings that make a run short."""
    clone = Clone(clone_to(folder).root, {"MULTIEMO_STORE": str(store), **environment})
    for old, new in (*SMALL, ("root: data/raw/demo", f"root: {corpus}")):
        clone.edit("params.yaml", old, new)
    clone.commit("small")
    return clone


def extract(clone: Clone) -> str:
    """Run all extraction stages; what they print."""
    return clone.run("dvc", "repro", *TARGETS)


def outputs(clone: Clone) -> dict[str, bytes]:
    """Content of what the extraction stages made."""
    return {name: (clone.root / "data/demo" / name).read_bytes() for name in EXTRACTED}


def stored_items(store: Path) -> dict[str, bytes]:
    """Name -> content of all items in a store."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.glob("*/*/[!.]*.h5")}


def work_done(printed: str) -> dict[str, str]:
    """Stage -> ``1 of 5``, as the stages that ran say it."""
    found = {}
    for line in printed.splitlines():
        if " dialogues to do, " in line:
            stage, counts = line.split(": ")
            found[stage] = counts.split(" dialogues")[0]
    return found


def stages_run(printed: str) -> list[str]:
    """The stages that DVC ran, in order."""
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]
