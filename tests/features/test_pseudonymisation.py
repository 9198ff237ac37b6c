"""Pseudonymised features: the same numbers under drawn codes, and nothing else by which to find people."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np

from pipeline.corpora.annotations import rows as annotations
from pipeline.features.content import Features
from pipeline.features.pseudonymisation import (
    PARTIES,
    models_named,
    pseudonymise,
    without_modality,
    without_text,
)
from pipeline.features.rules import find_problems
from tests import small_features


def secret() -> Features:
    """Recordings whose names, paths and times tell who is in them."""
    features = small_features.recordings()
    speaker = np.array([f"Anna{n}" if n % 5 else "Bert Meier & Anna1" for n in range(len(features))], object)
    speaker[-1] = ""
    audio = features.modalities["audio"]
    told = "frame 90123 starts at 3723.5 s, after 01:02:03, the end of /films/meier.mp4"
    reason = np.where(audio.observed, "", told).astype(object)
    provenance = json.loads(json.dumps(features.provenance))
    provenance["encoders"]["text"] = "RoBERTa from /home/Anna Meier/models/roberta, fine-tuned"
    for source in provenance["sources"].values():
        source |= {"items_sha256": "ab" * 32, "licence": "cc-by-nc-4.0"}
    return replace(
        features,
        corpus="meier_therapy",
        speaker=speaker,
        start_s=features.position * 5.0 + 3600,
        end_s=features.position * 5.0 + 3604,
        modalities=features.modalities | {"audio": replace(audio, reason=reason)},
        provenance=provenance,
    )


def test_several_speakers_are_parted_as_annotations_join_them() -> None:
    assert PARTIES == annotations.LIST_SEPARATOR


def test_every_utterance_keeps_its_numbers_label_and_place_under_its_code() -> None:
    features = secret()
    renamed, key = pseudonymise(features, Random(1))
    assert find_problems(renamed) == []
    name = {each.code: each.name for each in key if each.kind == "utterance"}
    row_of = {str(id): row for row, id in enumerate(features.id)}
    rows = np.array([row_of[name[str(code)]] for code in renamed.id])
    assert sorted(rows) == list(range(len(features)))
    for column in ("split", "label", "position", "text"):
        assert (getattr(renamed, column) == getattr(features, column)[rows]).all()
    for modality in features.modalities:
        found = renamed.modalities[modality]
        np.testing.assert_array_equal(found.features, features.modalities[modality].features[rows])
        assert (found.observed == features.modalities[modality].observed[rows]).all()
    speakers = {each.code: each.name for each in key if each.kind == "speaker"}
    back = [
        " & ".join(filter(None, (speakers.get(code, "") for code in party.split(" & "))))
        for party in renamed.speaker
    ]
    assert back == features.speaker[rows].tolist()


def test_codes_and_order_are_drawn_and_not_those_of_the_names() -> None:
    drawn = {
        tuple(pseudonymise(secret(), Random(seed))[0].modalities["text"].features[:, 0]) for seed in range(9)
    }
    assert len(drawn) > 1
    codes = [{each.name: each.code for each in pseudonymise(secret(), Random(seed))[1]} for seed in range(9)]
    assert len({each["visit1"] for each in codes}) > 1
    renamed, _ = pseudonymise(secret(), Random(0))
    dialogues = [int(name[1:]) for name in dict.fromkeys(renamed.dialogue.tolist())]
    assert sorted(dialogues) == [1, 2, 3, 4]


def test_nothing_of_names_paths_clocks_or_digests_is_left() -> None:
    renamed, _ = pseudonymise(without_text(secret()), Random(0))
    columns = ("id", "dialogue", "speaker", "text", "start_s", "end_s")
    whole = json.dumps(
        {
            "corpus": renamed.corpus,
            "provenance": renamed.provenance,
            "columns": [list(map(str, getattr(renamed, name))) for name in columns],
            "reasons": [modality.reason.tolist() for modality in renamed.modalities.values()],
        },
        ensure_ascii=False,
    )
    names = ("meier", "Meier", "Anna", "visit", "films", "home", "items_sha256", "Line")
    for trace in (*names, "3723", "3600", "90123", ":02"):
        assert trace not in whole
    assert renamed.start_s.min() == 0
    assert "RoBERTa from …, fine-tuned" in whole
    assert models_named(renamed.provenance) == []
    assert "frame … starts at … s, after …, the end of …" in whole
    assert renamed.provenance["removed"][0] == "what is said"
    assert {source["licence"] for source in renamed.provenance["sources"].values()} == {"cc-by-nc-4.0"}


def test_a_modality_can_be_left_out_with_what_was_said_of_it() -> None:
    kept = without_modality(secret(), "text")
    assert find_problems(kept) == []
    assert list(kept.modalities) == ["audio", "visual"]
    assert "text" not in kept.provenance["encoders"] | kept.provenance["sources"]
