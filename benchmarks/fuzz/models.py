"""Folders of trained models: damaged bytes, files of other trainings, and cards that describe no model.

``multiemo predict`` must refuse one in a line, or write probabilities; and those of the model that was
saved, unless somebody has changed both weights and card on purpose.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import train.prediction  # noqa: F401 - what takes long to import is no input's time
from benchmarks.fuzz.byte_damage import damage
from benchmarks.fuzz.trying import run_command
from pipeline.features.file import write_features
from pipeline.params import MODALITIES, Kind, ModelParams
from pipeline.store.keys import file_digest
from tests import small_features
from tests.train.saved_model import described, save_small_model
from tests.train.small import NETWORK

PARAMS = ModelParams(
    features="features.h5", modalities=MODALITIES, network=Kind.model_validate(NETWORK), unscaled=("text",)
)
TENSORS = ("seed_0.safetensors", "seed_1.safetensors", "standardisation.safetensors")
FILES = (*TENSORS, "model.json")
ODD_NUMBERS = (float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 1e-45, 1e38, -1e38)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 7, 10**9, 2**31, 2**62, 2**64, 10**400, 0.5, -0.5, 1e308, "", "x", "nan"),
    *("x" * 100_000, "../..", "\x1b[2J", "\0", "\ud800", []),
    *({}, [1], {"a": 1}, [[]], ["a"] * 3, {"0": {"epoch": 1}}),
)
BASE, OTHER, WHOLE = "model", "other", "whole"


def make(random: Random, folder: Path) -> None:
    """Write model/, broken in up to three ways, and ``damaged`` unless it was made consistent."""
    _prepare(folder.parent)
    shutil.copytree(folder.parent / BASE, folder / BASE)
    kinds = [random.choice(KINDS) for _ in range(random.choice((1, 1, 2, 3)))]
    for kind in kinds:
        kind(random, folder)
    if all(kind in (_damage_tensors, _exchange, _leave_out) for kind in kinds):
        (folder / "damaged").touch()


def _prepare(home: Path) -> None:
    """Two models, features that they can read, and what the first makes of them."""
    if (home / WHOLE).exists():
        return
    features = small_features.meld()
    audio = features.modalities["audio"]
    shifted = replace(audio, features=audio.features + audio.observed[:, None].astype(np.float32))
    save_small_model(home / BASE, features, PARAMS)
    other = replace(features, modalities=features.modalities | {"audio": shifted})
    save_small_model(home / OTHER, other, PARAMS.model_copy(update={"epochs": 3}))
    weights = load_file(home / OTHER / TENSORS[0])
    save_file({name: tensor + 1 for name, tensor in weights.items()}, home / OTHER / TENSORS[0])
    write_features(home / "features.h5", described(features))
    assert _predict(home, home / BASE)[0] == 0
    (home / "predictions.csv").rename(home / WHOLE)


def _damage_tensors(random: Random, folder: Path) -> None:
    path = folder / BASE / random.choice(TENSORS)
    if path.is_file():
        path.write_bytes(damage(random, path.read_bytes()))


def _damage_card(random: Random, folder: Path) -> None:
    path = folder / BASE / "model.json"
    if path.is_file():
        path.write_bytes(damage(random, path.read_bytes()))


def _exchange(random: Random, folder: Path) -> None:
    """A file of another training, or another file of this one."""
    name, taken = random.choice(TENSORS), random.choice(TENSORS)
    if (folder / BASE / name).is_dir():
        return
    shutil.copyfile(folder.parent / random.choice((BASE, OTHER)) / taken, folder / BASE / name)


def _leave_out(random: Random, folder: Path) -> None:
    path = folder / BASE / random.choice(FILES)
    if path.is_dir():
        return
    path.unlink(missing_ok=True)
    if random.random() < 0.3:
        path.mkdir()


def _change_numbers(random: Random, folder: Path) -> None:
    """Of the tensors, and the digest in the card with them."""
    path = folder / BASE / random.choice(TENSORS)
    try:
        tensors = load_file(path)
    except Exception:  # another kind has broken it already
        return
    name = random.choice(list(tensors))
    tensor = tensors[name]
    kind = random.choice(("one", "all", "type", "shape", "name", "none"))
    if kind == "one" and tensor.numel():
        tensor.view(-1)[random.randrange(tensor.numel())] = random.choice(ODD_NUMBERS)
    elif kind == "all":
        tensor.fill_(random.choice(ODD_NUMBERS))
    elif kind == "type":
        tensors[name] = tensor.to(random.choice((torch.float16, torch.float32, torch.float64, torch.int64)))
    elif kind == "shape":
        tensors[name] = random.choice(
            (tensor[:0], tensor.repeat(2, *[1] * (tensor.dim() - 1)), tensor[..., None])
        )
    elif kind == "name":
        tensors[random.choice(("", "x" * 100_000, "a\nb", "fc_p.bias"))] = tensors.pop(name)
    else:
        del tensors[name]
    save_file({each: value.contiguous().clone() for each, value in tensors.items()}, path)
    _edit_card(folder, lambda card: card["digests"].update({path.name: file_digest(path)}))


def _change_card(random: Random, folder: Path) -> None:
    def change(card: dict[str, Any]) -> None:
        node: Any = card
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                return
            key = random.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and random.random() < 0.8:
                node = node[key]
                continue
            if random.random() < 0.15:
                del node[key]
            else:
                node[key] = random.choice(ODD_VALUES)
            return

    _edit_card(folder, change)


def _edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / BASE / "model.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        change(card)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # broken already
        return
    path.write_text(json.dumps(card), encoding="utf-8")


KINDS = (
    *(_damage_tensors, _damage_tensors, _damage_card, _exchange, _leave_out),
    *(_change_numbers, _change_numbers, _change_card, _change_card),
)


def attempt(folder: Path) -> str:
    """``read`` or ``refused``."""
    status, _, said = _predict(folder, folder / BASE, folder.parent / "features.h5")
    output = folder / "predictions.csv"
    assert {path.name for path in folder.iterdir()} <= {BASE, "damaged", "predictions.csv"}
    if status:
        assert said.count("\n") == 1, said
        assert len(said) < 5000, len(said)
        assert not output.exists()
        return "refused"
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(small_features.meld())
    for row in rows:
        found = [float(value) for name, value in row.items() if name.startswith("p_")]
        assert all(0 <= value <= 1 for value in found), row
        assert abs(sum(found) - 1) < 1e-3, row
    if (folder / "damaged").exists():
        assert output.read_bytes() == (folder.parent / WHOLE).read_bytes(), "damage changes what is predicted"
    return "read"


def _predict(folder: Path, model: Path, features: Path | None = None) -> tuple[int, str, str]:
    path = features or folder / "features.h5"
    return run_command(["predict", str(path), "--model", str(model), "-o", str(folder / "predictions.csv")])
