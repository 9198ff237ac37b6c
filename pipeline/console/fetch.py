"""``multiemo fetch``: download weights, also for machines without a network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.encoders.kinds import encoder_key, names_weights, read_encoder
from pipeline.errors import UserError
from pipeline.params import CorpusParams, Modality, read_params


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo fetch``."""
    parser.description = (
        "Download the weights of a corpus's encoders into the hub's local cache, as the stage weights does\n"
        "at its first run, and say which they are, their licence, and what to copy to a machine without a\n"
        "network. Where a model's main branch has no safetensors, the hub's own conversion is looked for,\n"
        "and the revision to write into params.yaml printed (exit status 1: the file is left as it is)."
    )
    parser.epilog = "example:\n  multiemo fetch meld"
    parser.add_argument("corpora", nargs="*", help="entries under corpora (default: all)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    params = read_params()
    corpora = {name: params.corpus(name) for name in arguments.corpora or params.corpora}
    failed = 0
    cached: set[Path] = set()
    for name, corpus in corpora.items():
        for modality in corpus.modalities:
            try:
                found, told = _fetch(name, corpus, modality)
                failed |= not told
                cached |= {found} if found else set()
            except UserError as error:  # the others are fetched all the same
                print(f"multiemo: error: {error}", file=sys.stderr)
                failed = 1
    if cached:
        print(
            "For a machine without a network, on which to set HF_HUB_OFFLINE=1:\n  rsync -a"
            f" {' '.join(map(str, sorted(cached)))} MACHINE:.cache/huggingface/hub/"
        )
    return failed


def _fetch(name: str, corpus: CorpusParams, modality: Modality) -> tuple[Path | None, bool]:
    """(folder of the hub's cache to copy, if it came from there; whether params.yaml tells which it is)."""
    from pipeline.encoders.weights import NoSafetensorsError, model_files, pin_weights

    key = encoder_key(name, modality)
    params = read_encoder(name, corpus, modality).params
    if not names_weights(params):
        print(f"{key}: needs no weights")
        return None, True
    told = True
    try:
        found = pin_weights(key, params)
    except NoSafetensorsError as error:
        commit = _find_conversion(key, params.weights)
        if commit is None:
            raise UserError(f"{error}: it offers none") from None
        print(f"{key}: the hub's conversion of {params.weights} is at another commit; write there")
        print(f"revision: {commit}")
        found, told = pin_weights(key, params.model_copy(update={"revision": commit})), False
    files = model_files(found.path) if found.path.is_dir() else [found.path]
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    commit = f" at commit {found.commit}" if found.commit else ""
    licence = found.licence or "not told"
    print(f"{key}: {params.weights}{commit}, {size_mb:.1f} MB, licence {licence}, in {found.path}")
    return (found.path.parents[1] if found.commit else None), told


def _find_conversion(key: str, weights: str) -> str | None:
    from pipeline.encoders.hub import find_conversion

    try:
        return find_conversion(weights)
    except Exception as error:  # the hub's client raises what its HTTP library raises
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{key}: the hub cannot be asked for conversions of {weights} ({reason})") from error
