"""Features without names: speakers and dialogues under random codes, in another order.

The codes are drawn and not computed, since whoever has a list of names can compute hashes of them, too; and
the order is drawn anew, since that of a manifest is the order of names.  What remains is personal data all
the same: docs/privacy.md says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from pipeline.features.content import SPLITS, UTTERANCE_COLUMNS, Features

CORPUS = "pseudonymised"
REMOVED = "removed"
"""Key of the provenance: what was taken out of the file, in words."""
WORDS = "what is said"
"""Among what was taken out."""
DRAWN = "codes"
"""Key of the provenance: a random number by which files with the same codes know each other."""
PARTIES = " & "
"""Between the names of several who speak at once."""
_KEPT_OF_SOURCES = ("encoder", "faces", "settings", "versions", "licence", "devices", "figures")
_PATH = re.compile(r"[^\s,;()]*/[^\s,;()]*")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_WEIGHTS = re.compile(r"(?<=\bfrom )\S.*?(?=, (?:not )?fine-tuned| at revision | \(|$)")
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz", ".h5")
_TELLING = re.compile(r"[^\s,;()]*/[^\s,;()]*|[^\s,;()]+\.[A-Za-z]\w{1,4}\b|\d+(?:[.:]\d+)*")
"""Of reasons: paths, names of files, and numbers, since they may be times or frames of a film."""


class Key(NamedTuple):
    """A code and what it stands for."""

    kind: str
    """speaker, dialogue or utterance"""
    code: str
    name: str


def without_text(features: Features) -> Features:
    """The same without what is said."""
    provenance = _told(features.provenance, WORDS)
    return replace(features, text=np.full(len(features), "", object), provenance=provenance, digest="")


def without_modality(features: Features, name: str) -> Features:
    """The same without a modality; it must be there, and another one too."""
    provenance = _told(features.provenance, f"the modality {name}")
    for part in ("encoders", "sources"):
        provenance[part] = {key: each for key, each in provenance.get(part, {}).items() if key != name}
    kept = {key: each for key, each in features.modalities.items() if key != name}
    return replace(features, modalities=kept, provenance=provenance, digest="")


def pseudonymise(features: Features, random: Random) -> tuple[Features, list[Key]]:
    """The features under codes, and what each code stands for.

    Speakers are S1, S2, ..., dialogues D1, D2, ..., each in an order drawn over the whole corpus; an
    utterance is its dialogue and its place in it.  Rows stand by split and code.  Times count from each
    dialogue's start.
    """
    names = {name for party in features.speaker for name in str(party).split(PARTIES) if name}
    speakers = _draw("S", names, random)
    dialogues = _draw("D", map(str, features.dialogue), random)
    number = np.array([int(dialogues[str(name)][1:]) for name in features.dialogue])
    split = np.array([SPLITS.index(each) for each in features.split])
    order = np.lexsort((features.position, number, split))
    dialogue = np.array([dialogues[str(name)] for name in features.dialogue], object)
    ids = [f"{code}_{place + 1}" for code, place in zip(dialogue, features.position, strict=True)]
    parties = [
        PARTIES.join(speakers[name] for name in str(party).split(PARTIES) if name)
        for party in features.speaker
    ]
    start_s, end_s = _from_zero(features)
    columns: dict[str, Any] = {name: getattr(features, name) for name in UTTERANCE_COLUMNS}
    columns |= {"dialogue": dialogue, "start_s": start_s, "end_s": end_s}
    columns |= {"id": np.array(ids, object), "speaker": np.array(parties, object)}
    modalities = {
        name: replace(modality, reason=_plain_reasons(modality.reason), digest=None).take(order)
        for name, modality in features.modalities.items()
    }
    key = [Key("dialogue", code, name) for name, code in dialogues.items()]
    key += [Key("speaker", code, name) for name, code in speakers.items()]
    key += [Key("utterance", str(code), str(name)) for code, name in zip(ids, features.id, strict=True)]
    renamed = replace(
        features,
        corpus=CORPUS,
        **{name: column[order] for name, column in columns.items()},
        modalities=modalities,
        provenance=_provenance(features.provenance) | {DRAWN: f"{random.getrandbits(64):016x}"},
        digest="",
    )
    return renamed, key


def _draw(prefix: str, names: Iterable[str], random: Random) -> dict[str, str]:
    """Name -> code."""
    drawn = sorted(set(names))
    random.shuffle(drawn)
    return {name: f"{prefix}{number}" for number, name in enumerate(drawn, 1)}


def _from_zero(features: Features) -> tuple[np.ndarray, np.ndarray]:
    start_s, end_s = features.start_s.copy(), features.end_s.copy()
    for name in dict.fromkeys(features.dialogue):
        rows = (features.dialogue == name) & ~np.isnan(start_s)
        if rows.any():
            first = start_s[rows].min()
            start_s[rows], end_s[rows] = np.round(start_s[rows] - first, 3), np.round(end_s[rows] - first, 3)
    return start_s, end_s


def _plain_reasons(reasons: np.ndarray) -> np.ndarray:
    return np.array([_TELLING.sub("…", str(reason)) for reason in reasons], object)


def _provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """How the features came about, without names of files and digests that confirm a guess."""
    sources = {
        name: {part: source[part] for part in _KEPT_OF_SOURCES if part in source}
        for name, source in provenance.get("sources", {}).items()
    }
    kept = {name: provenance[name] for name in ("encoders", "splits", REMOVED) if name in provenance}
    return _told(
        _clean(kept | {"sources": sources}),
        "names of speakers, dialogues and utterances; their order; the clock; where files lay",
    )


def _told(provenance: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {**provenance, REMOVED: [*provenance.get(REMOVED, []), what]}


def _clean(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {_without_paths(str(name)): _clean(each, str(name)) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if not isinstance(value, str):
        return value
    return _origin(value) if key == "weights" else _without_paths(value)


def _without_paths(text: str) -> str:
    """Text without paths and names of files; a hub's organisation/model stays.

    >>> _without_paths("RoBERTa from /home/Anna Meyer/roberta, not fine-tuned")
    'RoBERTa from …, not fine-tuned'
    >>> _without_paths("ResNet-101 from patients/anna_meyer.safetensors")
    'ResNet-101 from …'
    >>> _without_paths("RoBERTa from FacebookAI/roberta-base")
    'RoBERTa from FacebookAI/roberta-base'
    """
    return _PATH.sub(lambda found: _origin(found[0]), _WEIGHTS.sub(lambda found: _origin(found[0]), text))


def _origin(weights: str) -> str:
    """Where weights are from, if a hub's id says it; a path of this machine would tell more."""
    is_file = Path(weights).suffix in WEIGHT_SUFFIXES
    return weights if _HUB_ID.fullmatch(weights) and not is_file else "…"


def models_named(provenance: Mapping[str, Any]) -> list[str]:
    """What its encoders are from by their words: a hub's organisation/model, or a folder called alike."""
    words = " ".join(map(str, provenance.get("encoders", {}).values()))
    return sorted(set(_HUB_ID.findall(words)))
