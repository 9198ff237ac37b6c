"""Where an encoder's weights come from, a file, a folder or a hub, and which they are.

Weights are never made up silently: ``untrained`` must be asked for by name, and is told wherever the
encoder's numbers show.  And they never change silently: a file has its digest in params.yaml, a hub model
a commit that is resolved once, and both stand in weights.json, which the stages depend on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from pipeline import runtime
from pipeline.encoders.hub import fetch_snapshot, is_model_file, read_licence
from pipeline.errors import UserError, reading_output
from pipeline.params import UNTRAINED, CorpusParams, Modality, WeightsParams, read_kind
from pipeline.store.atomic import write_text
from pipeline.store.items import make_shared_folder
from pipeline.store.keys import file_digest, listing_digest

ORIGIN = "origin.json"
"""Beside the weights of an encoder that was made here: in words, how.  It is no part of the digest."""

_WEIGHTS_FILES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class NoSafetensorsError(UserError):
    """A hub model has no weights that can be loaded without trust, at the revision that is meant."""


class Weights(NamedTuple):
    """A model on disk: a folder as transformers writes it, or a file of weights alone."""

    path: Path
    digest: dict[str, str]
    """SHA-256 of each of its files, by name; of a single file, whose name says nothing, ``weights``."""
    commit: str | None = None
    """Of the hub's repository, if it came from there."""
    licence: str = ""
    """As its card names it; empty where that is not told."""

    def sha256(self) -> str:
        """Of the file; of a folder over the lines ``<SHA-256>  <name>`` of its files, in their order."""
        if list(self.digest) == ["weights"]:
            return self.digest["weights"]
        return listing_digest(self.digest)


def pin_weights(key: str, params: WeightsParams, *, remember: bool = True) -> Weights:
    """The weights that params name, as they are to be used from now on; fetched from the hub if need be.

    ``key`` is the section of params.yaml, for errors; ``remember``: whether a commit that is asked for is
    kept to from now on.  UserError where there are none, where those of a path have a ``revision`` or no
    ``sha256`` in the params, or where the digest is not theirs.
    """
    if is_local(params.weights):
        if params.revision:
            raise UserError(
                f"{key}.revision: is of hub models, and {params.weights} is a path: delete it, or correct"
                " weights"
            )
        found = find_local(key, params.weights)
        if params.sha256 is None:
            raise UserError(
                f"{key}.sha256: missing, so that nobody could tell whether {params.weights} was replaced;"
                f" `multiemo pin` writes it, or write there\nsha256: {found.sha256()}"
            )
    else:
        found = _fetch(key, params.weights, _remembered_commit(key, params, remember))
    if params.sha256 not in (None, found.sha256()):
        raise UserError(
            f"{key}.sha256: {found.path} has the SHA-256 {found.sha256()}, and not {params.sha256};"
            " fetch it again, or correct the param"
        )
    return found


def write_pinned(path: Path, pinned: Mapping[str, Weights]) -> None:
    """Write weights.json: commit, digests and licence by modality."""
    content = {
        name: {"commit": each.commit, "digest": each.digest, "licence": each.licence}
        for name, each in pinned.items()
    }
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_licences(path: Path) -> dict[str, str]:
    """The licences in weights.json by modality, empty where none is told; UserError if it cannot be read."""
    return {name: each.get("licence", "") for name, each in _read_pinned(path).items()}


def _read_pinned(path: Path) -> dict[str, Any]:
    with reading_output(path):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content


def find_pinned(path: Path, modality: str, key: str, params: WeightsParams) -> Weights | None:
    """The weights of a modality's encoder that weights.json, at ``path``, tells; None if it is untrained.

    UserError where they are no longer there or no longer those.
    """
    if params.weights == UNTRAINED:
        return None
    pinned = _read_pinned(path).get(modality)
    if pinned is None:
        raise UserError(f"{path}: cannot be read (no {modality} in it); run dvc repro, which makes it")
    if is_local(params.weights):
        found = find_local(key, params.weights)
    else:
        found = _fetch(key, params.weights, pinned["commit"])
    if found.digest != pinned["digest"]:
        changed = [name for name in found.digest if found.digest[name] != pinned["digest"].get(name)]
        raise UserError(
            f"{key}: {found.path} has changed since {path} was written"
            f" ({', '.join(changed) or 'files are gone'});"
            " fetch it again, or put its new digest into params.yaml with `multiemo pin`"
        )
    return found


def find_encoder(package: str, corpus: str, params: CorpusParams, modality: Modality) -> Any:
    """The encoder of a corpus's modality, checked whole, with the weights that weights.json tells.

    ``package`` is that of its kinds.  UserError, naming the key, if it cannot be used.
    """
    key = f"corpora.{corpus}.{modality}.encoder"
    kind = read_kind(package, params.encoder(modality), key)
    weights = None
    if isinstance(kind.params, WeightsParams):
        weights = find_pinned(Path("data", corpus, "weights.json"), modality, key, kind.params)
    return kind.module.find_encoder(key, kind.params, weights)


def is_local(name: str) -> bool:
    """Whether weights are named by a path rather than by a hub id."""
    path = Path(name).expanduser()
    return path.exists() or path.suffix in _WEIGHTS_FILES or not _HUB_ID.fullmatch(name)


def is_commit(revision: str | None) -> TypeGuard[str]:
    """Whether a revision is a whole commit, which never moves."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def find_local(key: str, name: str) -> Weights:
    """The weights at a path: a file, or a model folder; UserError where there are none."""
    path = Path(name).expanduser().absolute()
    if path.is_file():
        return Weights(path, {"weights": file_digest(path)})
    if path.suffix in _WEIGHTS_FILES:
        raise UserError(f"{key}: no weights file {name}")
    if not path.is_dir():
        raise UserError(
            f"{key}: no model folder {name}; give the path of one, a hub id such as"
            f" organisation/model, or {UNTRAINED!r} for random weights on purpose"
        )
    return Weights(path, _folder_digest(key, path), licence=read_licence(path))


def find_hub_commit(key: str, name: str, revision: str | None) -> str:
    """The commit to which a branch or tag of a hub model leads now; UserError if it cannot be had."""
    commit = _fetch(key, name, revision).commit
    assert commit is not None, "a hub's snapshot has a commit"
    return commit


def model_files(folder: Path) -> list[Path]:
    """The files that make a model: config, weights and tokenizer, by name."""
    return sorted(path for path in folder.iterdir() if is_model_file(path.name) and path.name != ORIGIN)


def _remembered_commit(key: str, params: WeightsParams, remember: bool) -> str:
    """The commit of a hub model, which is asked for once and then remembered beside the item store."""
    if is_commit(params.revision):
        return params.revision
    asked = json.dumps([params.weights, params.revision])
    root = runtime.store_root()
    path = root / "commits" / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
    try:
        commit: str = json.loads(path.read_text(encoding="utf-8"))["commit"]
    except (FileNotFoundError, ValueError, KeyError):
        commit = find_hub_commit(key, params.weights, params.revision)
        if remember:
            make_shared_folder(path.parent, root)
            told = {"weights": params.weights, "revision": params.revision, "commit": commit}
            write_text(path, json.dumps(told, indent=2) + "\n")
    return commit


def _folder_digest(key: str, folder: Path) -> dict[str, str]:
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{key}: {folder} holds no config.json; it should be a model folder as transformers writes it"
        )
    files = model_files(folder)
    if not any(path.suffix == ".safetensors" for path in files):
        raise UserError(
            f"{key}: {folder} holds no .safetensors weights; convert the model with save_pretrained()"
        )
    return {path.name: file_digest(path) for path in files}


def _fetch(key: str, name: str, revision: str | None) -> Weights:
    """A hub model in the hub's local cache, where it is put if need be."""
    folder = fetch_snapshot(key, name, revision)
    if not any(path.suffix == ".safetensors" for path in model_files(folder)):
        corpus = key.split(".")[1]
        raise NoSafetensorsError(
            f"{key}: {name} has no .safetensors weights at {revision or 'its main branch'}; `multiemo fetch"
            f" {corpus}` looks whether the hub offers them elsewhere, and says what revision to give"
        )
    return Weights(folder, _folder_digest(key, folder), folder.name, read_licence(folder))
