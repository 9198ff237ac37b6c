"""``multiemo pin``: write into params.yaml which weights and outside media are meant."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.corpora.annotations.corpus import read_format
from pipeline.encoders.kinds import encoder_key, names_weights, read_encoder
from pipeline.errors import UserError
from pipeline.params import PARAMS_FILE, CorpusParams, read_params

Keys = tuple[str, ...]
"""Where a value stands in params.yaml."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo pin``."""
    parser.description = (
        "Write into params.yaml the SHA-256 of weights that are named by a path, the commit at which a hub\n"
        "model's branch is now, and the digest of media outside of a corpus's root. Run it where weights or\n"
        "such media are new or were replaced on purpose: from then on the run stops where they are others.\n"
        "Comments and order of params.yaml stay."
    )
    parser.epilog = "example:\n  multiemo pin meld"
    parser.add_argument("corpora", nargs="*", help="entries under corpora (default: all)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    params = read_params()
    names = arguments.corpora or list(params.corpora)
    corpora = {name: params.corpus(name) for name in names}  # a wrong name stops before any work
    found: dict[Keys, str] = {}
    failed = 0
    for name, corpus in corpora.items():
        try:
            for keys, value in find_pins(name, corpus):
                found[keys] = value
        except UserError as error:  # what was found before is written all the same
            print(f"multiemo: error: {error}", file=sys.stderr)
            failed = 1
    changed = write_pins(PARAMS_FILE, found)
    for keys, before in changed.items():
        print(f"{'.'.join(keys)}: {found[keys]}" + (f" (was {before})" if before else ""))
    print(f"{PARAMS_FILE}: {len(changed)} pinned, {len(found) - len(changed)} as they were")
    return failed


def find_pins(name: str, corpus: CorpusParams) -> Iterator[tuple[Keys, str]]:
    """Keys of params.yaml and what should stand there; UserError where weights or media cannot be had."""
    from pipeline.encoders.weights import find_hub_commit, find_local, is_commit, is_local

    for modality in corpus.modalities:
        section: Keys = ("corpora", name, modality, "encoder")
        key = encoder_key(name, modality)
        params = read_encoder(name, corpus, modality).params
        if not names_weights(params):
            continue
        if is_local(params.weights):
            yield (*section, "sha256"), find_local(key, params.weights).sha256()
        elif is_commit(params.revision):
            yield (*section, "revision"), params.revision
        else:
            yield (*section, "revision"), find_hub_commit(key, params.weights, params.revision)
    yield from _outside_media(name, corpus)


def _outside_media(name: str, corpus: CorpusParams) -> Iterator[tuple[Keys, str]]:
    from pipeline.corpora.annotations.outside import files_outside
    from pipeline.store.keys import file_digest, listing_digest

    form = read_format(name, corpus)
    if set(corpus.modalities) == {"text"}:  # media are not read, and need not be there
        return
    root = Path(corpus.root)
    if not root.is_dir():  # who has pulled the features needs no raw data
        return
    annotations = form.module.read(root, form.params).annotations
    names = [name for each in annotations for name in (each.media, each.audio) if name]
    if outside := files_outside(root, names):
        digests = {path: file_digest(root / path) if (root / path).is_file() else "" for path in outside}
        yield ("corpora", name, "format", "outside_sha256"), listing_digest(digests)


def write_pins(path: Path, pins: dict[Keys, str]) -> dict[Keys, str]:
    """Put values into a YAML file, whose comments and order stay; the changed ones with what stood there.

    UserError, before anything is written, where two values would have one place.
    """
    from ruamel.yaml import YAML

    from pipeline.store.atomic import write_atomically

    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 4096, True
    with path.open(encoding="utf-8") as file:
        content: Any = yaml.load(file)
    changed = {}
    placed: dict[tuple[int, str], Keys] = {}
    for keys, value in pins.items():
        *sections, key = keys
        section = content
        for each in sections:
            if isinstance(section[each], str):  # `format: meld`
                section[each] = {"kind": section[each]}
            section = section[each]
        other = placed.setdefault((id(section), key), keys)  # what YAML shares by an alias is one mapping
        if pins[other] != value:
            both = f"{'.'.join(other[:-1])} and {'.'.join(sections)}"
            raise UserError(
                f"{path}: {both} are one block by an alias, and each needs a {key} of its own: write it twice"
            )
        before = section.get(key)
        if before != value:
            changed[keys] = before or ""
            section[key] = value
    if changed:
        text = io.StringIO()
        yaml.dump(content, text)
        write_atomically(path, text.getvalue().encode())
    return changed
