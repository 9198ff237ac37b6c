"""A model of which nothing is said learns from real features."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.views import features_of_views
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import MODALITIES, ModelParams
from pipeline.store.code import PROJECT
from train.data import Dialogues
from train.loop import train_seed
from train.networks import with_recipe

SHARED = PROJECT.parent / "shared" / "data"
VIEWS = SHARED / "features" / "meld-views.npz"
# A third of MELD's training split, and all of validation: where the majority class has a weighted F1 of 25.
DIALOGUES = 350


@pytest.mark.skipif(not VIEWS.exists(), reason="the features of MELD's utterances are not here")
def test_the_default_leaves_the_majority_class_far_behind_on_real_features() -> None:
    features = features_of_views(SHARED / "meld", VIEWS)
    params = with_recipe(ModelParams(features="views", epochs=4), "models.views")
    dialogues = Dialogues.from_features(features, fit_standardisation(features, MODALITIES, params.unscaled))
    spans = {**dialogues.spans, "train": dialogues.spans["train"][:DIALOGUES], "test": []}
    params = params.model_copy(update={"batch_dialogues": 50})
    run = train_seed(replace(dialogues, spans=spans), params, seed=0)
    assert 100 * run.selected.dev_weighted_f1 > 45, [epoch.dev_weighted_f1 for epoch in run.epochs]


def test_of_the_paper_nothing_is_changed_but_what_its_text_leaves_open() -> None:
    params = with_recipe(ModelParams(features="x", recipe="paper"), "models.x")
    assert params.training() == ModelParams(features="x").training()
