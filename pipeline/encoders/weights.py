"""Where an encoder's weights come from: a folder, a hub, or nowhere.

Weights are never made up silently: ``untrained`` must be asked for by name, and is told wherever
the encoder's numbers show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.params import UNTRAINED
from pipeline.store.keys import file_digest

ORIGIN = "origin.json"
"""Beside the weights of an encoder that was made here: in words, how.  It is no part of the digest."""
ITEM_KEY = "item_key"
"""In there: the key under which the item store keeps it, if it does."""

_MODEL_FILES = (".json", ".safetensors", ".txt", ".model")
_WEIGHTS_FILES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk: a folder as transformers writes it, or a file of weights alone."""

    path: Path
    digest: dict[str, str]
    """SHA-256 of each of its files, by name; of a single file, whose name says nothing, ``weights``."""


def find_model(key: str, name: str, revision: str | None = None) -> ModelFolder:
    """The model folder that a param names: a path, or a hub id, which is fetched if need be.

    ``key`` is the param, for the error.  Raises UserError where there is no such model.
    """
    if name == UNTRAINED:
        raise ValueError("untrained weights are built, not found")
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        folder = _fetch(key, name, revision)
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{key}: {folder} holds no config.json; it should be a model folder as transformers writes it"
        )
    files = sorted(path for path in folder.iterdir() if path.suffix in _MODEL_FILES and path.name != ORIGIN)
    if not any(path.suffix == ".safetensors" for path in files):
        raise UserError(
            f"{key}: {folder} holds no .safetensors weights; convert the model with save_pretrained()"
        )
    return ModelFolder(folder, {path.name: file_digest(path) for path in files})


def find_weights(key: str, name: str, sha256: str | None = None) -> ModelFolder:
    """The weights that a param names: a file, a model folder by its path, or a hub id.

    UserError where there are none, or where ``sha256`` is not that of the file, or of the folder's
    model.safetensors.
    """
    path = Path(name).expanduser().absolute()
    if path.is_file():
        found, digest = ModelFolder(path, {"weights": file_digest(path)}), "weights"
    elif path.suffix in _WEIGHTS_FILES:
        raise UserError(f"{key}: no weights file {name}")
    else:
        found, digest = find_model(key, name), "model.safetensors"
    if sha256 not in (None, found.digest.get(digest)):
        raise UserError(
            f"{key}: {found.path} has the SHA-256 {found.digest.get(digest)}, and not {sha256};"
            " fetch the file again, or correct the param sha256"
        )
    return found


def _fetch(key: str, name: str, revision: str | None) -> Path:
    if not _HUB_ID.fullmatch(name):
        raise UserError(
            f"{key}: no model folder {name}; give the path of one, a hub id such as"
            f" organisation/model, or {UNTRAINED!r} for random weights on purpose"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        patterns = [f"*{suffix}" for suffix in _MODEL_FILES]
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except LocalEntryNotFoundError as error:  # the hub is switched off, or out of reach
        command = f"hf download {name}" + (f" --revision {revision}" if revision else "")
        raise UserError(
            f"{key}: {name}{f' at revision {revision}' if revision else ''} is not in the local cache of the"
            f" hub, and the hub cannot be asked; where there is a network run `{command}`, and copy its cache"
            f" (~/.cache/huggingface) here, or give the folder of a model"
        ) from error
    except Exception as error:  # the hub's client raises what its HTTP library raises
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{key}: {name} is neither a folder here nor a model that can be had from the hub"
            f" ({type(error).__name__}: {reason}); check the name, or download it and give its folder"
        ) from error
