"""The rules of the feature file, for whoever writes, reads, inspects or verifies one.

Each function names every rule that is broken, in words; nothing means that all are kept.  The content's rules
take for granted that those of the layout (``layout``) and of the attributes are kept.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.features.content import (
    SPLITS,
    UNLABELLED,
    Features,
    ModalityFeatures,
    count_positions,
    row_digests,
)
from pipeline.features.layout import TEXT_COLUMNS, kinds_of, layout_problems
from pipeline.store.h5 import CONTENT_SHA256

_DEEPEST_JSON = 32
_SHOWN = 3


def attribute_problems(attrs: Mapping[str, Any]) -> list[str]:
    """What is missing of the attributes beside the schema, or says nothing."""
    problems = [f"{name} is missing" for name in ("corpus", CONTENT_SHA256) if name not in attrs]
    if not problems and not (isinstance(attrs["corpus"], str) and attrs["corpus"]):
        problems.append("corpus is no name")
    if not problems and not re.fullmatch("[0-9a-f]{64}", str(attrs[CONTENT_SHA256])):
        problems.append(f"{CONTENT_SHA256} is no SHA-256")
    for name, rule in (("labels", _label_name_problems), ("provenance", _provenance_problems)):
        try:
            problems += rule(json.loads(attrs[name]))
        except KeyError:
            problems.append(f"{name} is missing")
        except (ValueError, TypeError, RecursionError):
            problems.append(f"{name} is not JSON")
    return problems


def find_problems(features: Features) -> list[str]:
    """Every rule that the content breaks, whether it was read from a file or is to be written."""
    problems = layout_problems(kinds_of(features), written=False)
    problems += _label_name_problems(list(features.label_names))
    problems += _provenance_problems(features.provenance)
    if problems:
        return problems
    problems = utterance_problems(features)
    for name, modality in features.modalities.items():
        problems += [f"{name}: {problem}" for problem in modality_problems(modality, features.id)]
    return problems


def utterance_problems(features: Features) -> list[str]:
    """Every rule that the utterances' columns break."""
    count = len(features)
    if not count:
        return ["there are no utterances"]
    problems = []
    for name in TEXT_COLUMNS:
        problems += _text_problems(f"utterances/{name}", getattr(features, name))
    if len(set(features.id.tolist())) != count:
        problems.append("utterance ids repeat")
    if not all(features.id.tolist()) or not all(features.dialogue.tolist()):
        problems.append("an utterance has no id or no dialogue")
    if set(features.split.tolist()) - set(SPLITS):
        problems.append(f"splits other than {', '.join(SPLITS)}")
    if features.label.min() < UNLABELLED or features.label.max() >= len(features.label_names):
        problems.append("labels outside the label names")
    changes = int((features.dialogue[1:] != features.dialogue[:-1]).sum())
    if changes + 1 != len(set(features.dialogue.tolist())):
        problems.append("the utterances of a dialogue are not contiguous")
    elif not np.array_equal(features.position, count_positions(features.dialogue)):
        problems.append("positions do not count the utterances of each dialogue from 0")
    if len({*zip(features.dialogue.tolist(), features.split.tolist(), strict=True)}) > changes + 1:
        problems.append("a dialogue lies in several splits")
    start_s, end_s = features.start_s, features.end_s
    whole_file = np.isnan(start_s) & np.isnan(end_s)
    spans = np.isfinite(start_s) & np.isfinite(end_s) & (start_s >= 0) & (start_s < end_s)
    if not (whole_file | spans).all():
        odd = _some(features.id[~(whole_file | spans)].tolist())
        problems.append(f"start_s and end_s are no span of seconds: {odd}")
    return problems


def modality_problems(modality: ModalityFeatures, ids: np.ndarray) -> list[str]:
    """Every rule that a modality of the utterances with these ids breaks."""
    problems = _text_problems("reason", modality.reason)
    if not modality.features.shape[1]:
        problems.append("features have no dimension")
    if not np.isfinite(modality.features).all():
        problems.append("features are not all finite")
    if (modality.features.any(axis=1) & ~modality.observed).any():
        problems.append("features are not zero where the modality was not observed")
    if ((modality.reason == "") != modality.observed).any():
        problems.append("a reason must stand exactly where the modality was not observed")
    if modality.feature_name is not None:
        problems += _text_problems("feature_name", modality.feature_name)
    if modality.digest is not None:
        wrong = ids[modality.digest != row_digests(ids, modality.features)].tolist()
        if wrong:
            problems.append(f"rows that are not what was written: {_some(wrong)}")
    return problems


def _label_name_problems(names: Any) -> list[str]:
    if not isinstance(names, list):
        return ["labels is no JSON list"]
    if not all(isinstance(name, str) and name for name in names):
        return ["labels has other than names"]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        return [f"labels has {_some(repeated)} more than once"]
    return _text_problems("labels", names)


def _provenance_problems(provenance: Any) -> list[str]:
    """Whether the provenance has the structure that those who read it rely on."""
    if not isinstance(provenance, dict):
        return ["provenance is no JSON object"]
    if _is_deep(provenance, _DEEPEST_JSON):
        return ["provenance is nested too deep"]
    sources = provenance.get("sources", {})
    objects: dict[str, Any] = {"encoders": provenance.get("encoders", {}), "sources": sources}
    of_text = ["encoders"]
    for name, source in sources.items() if isinstance(sources, dict) else ():
        objects[place := f"sources.{name}"] = source
        if isinstance(source, dict):
            objects[f"{place}.versions"] = source.get("versions", {})
            settings = objects[f"{place}.settings"] = source.get("settings", {})
            faces = objects[f"{place}.faces"] = source.get("faces", {})
            objects[f"{place}.faces.settings"] = faces.get("settings", {}) if isinstance(faces, dict) else {}
            of_text.append(f"{place}.versions")
            if isinstance(settings, dict):
                objects[f"{place}.settings.weights"] = settings.get("weights", {})
                of_text.append(f"{place}.settings.weights")
    problems = [
        f"provenance: {name} is no JSON object"
        for name, each in objects.items()
        if not isinstance(each, dict)
    ]
    problems += [
        f"provenance: {name} holds other than text"
        for name in of_text
        if isinstance(objects[name], dict) and {*map(type, objects[name].values())} - {str}
    ]
    return problems or _text_problems("provenance", [json.dumps(provenance, ensure_ascii=False, default=str)])


def _is_deep(value: Any, deepest: int) -> bool:
    inner: Collection[Any] = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and (
        not deepest or any(_is_deep(each, deepest - 1) for each in inner)
    )


def _text_problems(name: str, texts: Iterable[str]) -> list[str]:
    """HDF5 has no place for zero characters, and UTF-8 none for halves of surrogate pairs."""
    whole = "\n".join(texts)
    if "\0" in whole:
        return [f"{name} holds a character that no text has (U+0000)"]
    try:
        whole.encode()
    except UnicodeEncodeError:
        return [f"{name} holds half a surrogate pair, which is no text"]
    return []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
