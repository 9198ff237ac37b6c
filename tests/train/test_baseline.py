"""Logistic regression as the simplest method."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.features.standardisation import fit_standardisation
from train.baseline import baselines
from train.data import Dialogues


def scores_of(features, refit=False):
    standardisation = fit_standardisation(features, list(features.modalities))
    return baselines(Dialogues.from_features(features, standardisation), refit=refit)


def test_it_is_of_each_modality_and_last_of_all(make_features):
    assert list(scores_of(make_features())) == ["audio", "text", "visual", "audio + text + visual"]


def test_a_training_split_of_one_class_predicts_that_class(make_features):
    features = make_features()
    of_one = replace(features, label=np.where(features.split == "train", 0, features.label))
    dev = features.label[features.split == "dev"]
    share = (dev == 0).mean()
    expected = share * 2 * share / (share + 1)
    for each in scores_of(of_one).values():
        assert each["dev"] == pytest.approx(expected)


def test_with_refit_it_learns_from_dev_too(make_features):
    features = make_features(noise=3.0)
    unlike = replace(features, label=np.where(features.split == "dev", 0, features.label))
    alone, both = scores_of(unlike), scores_of(unlike, refit=True)
    assert {name: each["dev"] for name, each in alone.items()} == {n: each["dev"] for n, each in both.items()}
    assert any(alone[name]["test"] != both[name]["test"] for name in alone)
