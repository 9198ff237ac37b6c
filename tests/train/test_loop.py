"""Training on a small corpus whose labels can be learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.features.standardisation import fit_standardisation
from tests.train.small import changed, dialogues_of, network_of
from train.data import Dialogues
from train.determinism import deterministic
from train.loop import predict, train_seed
from train.metrics import compute_metrics
from train.run import BestTestEpoch
from train.trainer import Trainer


def test_training_learns_what_can_be_learnt(make_features, small_params):
    params = changed(small_params, epochs=12, learning_rate=5e-3, dropout=0.1, batch_dialogues=10)
    features = make_features(train=40, dev=10, test=30, noise=1.5)
    dialogues = dialogues_of(features, params)
    run = train_seed(dialogues, params, seed=0)
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss
    network = network_of(params, dialogues)
    network.load_state_dict(run.weights)
    predictions = predict(network, dialogues, dialogues.spans["test"], params)
    scores = compute_metrics(features.label[predictions.row], predictions.label, features.label_names)
    assert scores.weighted_f1 > 0.8  # chance is about 0.33
    np.testing.assert_allclose(predictions.probability.sum(axis=1), 1, rtol=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(make_features, small_params):
    params = changed(small_params, dropout=0.2, epochs=3)
    dialogues = dialogues_of(make_features(), params)
    first = train_seed(dialogues, params, seed=1)
    torch.rand(5)  # what happened before must not matter
    again, other = train_seed(dialogues, params, seed=1), train_seed(dialogues, params, seed=2)
    assert first.epochs == again.epochs
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert not torch.equal(first.weights["fc_z.weight"], other.weights["fc_z.weight"])


def test_the_number_of_threads_changes_no_bit(make_features, small_params):
    wide = changed(small_params, hidden_size=64, feedforward_size=512, dropout=0.2)
    dialogues = dialogues_of(make_features(train=20), wide)
    runs = []
    for threads in (1, 2):
        torch.set_num_threads(threads)  # the fixture sets it back
        runs.append(train_seed(dialogues, wide, seed=1))
        assert torch.get_num_threads() == threads
    assert all(torch.equal(runs[0].weights[name], runs[1].weights[name]) for name in runs[0].weights)


def test_bfloat16_learns_as_well_within_the_noise_of_seeds(make_features, small_params):
    changes = {"epochs": 5, "learning_rate": 5e-3, "batch_dialogues": 10, "layers": 1}
    features = make_features(train=20, dev=20, test=0, noise=1.5)
    f1, losses = {}, {}
    for precision in ("float32", "bfloat16"):
        params = changed(small_params, **changes, precision=precision)
        dialogues = dialogues_of(features, params)
        runs = [train_seed(dialogues, params, seed) for seed in range(2)]
        f1[precision] = np.array([run.selected.dev_weighted_f1 for run in runs])
        losses[precision] = [run.selected.dev_loss for run in runs]
        assert {tensor.dtype for tensor in runs[0].weights.values()} == {torch.float32}
    assert losses["float32"] != losses["bfloat16"]  # it is not the same arithmetic
    assert f1["bfloat16"].min() > 0.5  # chance is about 0.33
    assert abs(f1["float32"].mean() - f1["bfloat16"].mean()) < max(2 * f1["float32"].std(ddof=1), 0.05)


def test_training_leaves_torchs_global_state_alone(make_features, small_params):
    dialogues = dialogues_of(make_features(), small_params)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train_seed(dialogues, small_params, seed=0)
    assert torch.equal(torch.rand(4), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_best_validation_epoch_is_kept(make_features, small_params):
    params = changed(small_params, epochs=8, learning_rate=1e-2)
    features = make_features(train=8, dev=8, noise=3.0)
    dialogues = dialogues_of(features, params)
    run = train_seed(dialogues, params, seed=0)
    best = max(run.epochs, key=lambda epoch: (epoch.dev_weighted_f1, -epoch.dev_loss, -epoch.epoch))
    assert run.selected == best
    network = network_of(params, dialogues)
    network.load_state_dict(run.weights)
    predictions = predict(network, dialogues, dialogues.spans["dev"], params)
    scores = compute_metrics(features.label[predictions.row], predictions.label, features.label_names)
    assert scores.weighted_f1 == pytest.approx(best.dev_weighted_f1)


def test_training_ends_once_patience_is_over(make_features, small_params):
    params = changed(small_params, epochs=30, learning_rate=1e-2)
    dialogues = dialogues_of(make_features(train=8, dev=8, noise=3.0), params)
    patient = train_seed(dialogues, changed(params, patience_epochs=3), seed=0)
    ended = len(patient.epochs)
    assert ended == patient.selected.epoch + 3 < 30
    as_long = train_seed(dialogues, changed(params, epochs=ended), seed=0)
    assert patient.epochs == as_long.epochs
    assert patient.selected == as_long.selected


def test_the_test_split_has_no_say_in_training(make_features, small_params):
    features = make_features()
    test = features.split == "test"
    modalities = {
        name: replace(m, features=np.where((test & m.observed)[:, None], 3.0, m.features).astype(np.float32))
        for name, m in features.modalities.items()
    }
    other = replace(features, modalities=modalities, label=np.where(test, 0, features.label))
    runs = [train_seed(dialogues_of(f, small_params), small_params, seed=0) for f in (features, other)]
    assert runs[0].epochs == runs[1].epochs
    assert all(torch.equal(runs[0].weights[name], runs[1].weights[name]) for name in runs[0].weights)


def test_an_utterance_of_test_that_cannot_be_predicted_stops_no_training(make_features, small_params):
    params = changed(small_params, unscaled=("text",))
    features = make_features()
    text = features.modalities["text"]
    values = text.features.copy()
    values[np.flatnonzero((features.split == "test") & text.observed)[0]] = 3e38
    modalities = features.modalities | {"text": replace(text, features=values)}
    huge = replace(features, modalities=modalities)
    runs = []
    for each in (features, huge):
        standardisation = fit_standardisation(each, params.modalities, params.unscaled)
        dialogues = Dialogues.from_features(each, standardisation)
        runs.append(train_seed(dialogues, params, seed=0))
    assert runs[0].epochs == runs[1].epochs
    assert runs[1].test_best is None
    network = network_of(params, dialogues)
    network.load_state_dict(runs[1].weights)
    with pytest.raises(UserError, match="get probabilities that are no numbers"):
        predict(network, dialogues, dialogues.spans["test"], params)


def test_l2_is_the_gradient_of_lambda_times_the_squared_norm(make_features, small_params):
    """One Adam step by hand, with lambda ||theta||^2 in the loss itself (Eq. 22)."""
    params = changed(small_params, epochs=1, l2=0.05, batch_dialogues=100, learning_rate=1e-3)
    dialogues = dialogues_of(make_features(), params)
    run = train_seed(dialogues, params, seed=0)

    torch.manual_seed(0)
    network = network_of(params, dialogues)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0)).tolist()
    batch = dialogues.batch([dialogues.spans["train"][i] for i in order])
    output = network(batch)
    loss = network.losses(output, batch.label)["total"]
    loss = loss + params.l2 * sum((p**2).sum() for p in network.parameters())
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.9, 0.99))
    loss.backward()
    optimiser.step()
    moved = 0
    for name, tensor in network.state_dict().items():
        # Adam divides by the gradient's size: where that is rounding, so is the step's sign.
        clear = network.get_parameter(name).grad.abs() > 1e-5
        torch.testing.assert_close(run.weights[name][clear], tensor[clear], rtol=0, atol=1e-5)
        moved += int(clear.sum())
    assert moved > 1000


def test_the_best_test_epoch_is_noted_and_changes_nothing(make_features, small_params, without_labels):
    params = changed(small_params, epochs=6, learning_rate=1e-2)
    features = make_features(train=8, dev=8, test=8, noise=3.0)
    run = train_seed(dialogues_of(features, params), params, seed=0)
    as_validation = np.select(
        [features.split == "dev", features.split == "test"], ["test", "dev"], features.split
    )
    swapped = dialogues_of(replace(features, split=as_validation), params)
    by_test = train_seed(swapped, params, seed=0)  # here the test split chooses the epoch
    best = max(by_test.epochs, key=lambda epoch: (epoch.dev_weighted_f1, -epoch.epoch))
    assert run.test_best == BestTestEpoch(best.epoch, best.dev_weighted_f1)
    assert train_seed(dialogues_of(without_labels(features, "test"), params), params, 0).test_best is None


def test_the_memory_holds_the_newest_samples_of_the_steps_before(make_features, small_params):
    network = small_params.network.model_dump() | {"loss": {"memory_utterances": 10}}
    params = changed(small_params, batch_dialogues=2, **network)
    dialogues = dialogues_of(make_features(), params)
    with deterministic(0, dialogues.label.device):
        trainer = Trainer(dialogues, params, 0)
        batches = [*dialogues.batches(dialogues.spans["train"], 2)]
        for batch in batches:
            trainer.step(batch)
        trainer.score(dialogues.spans["dev"], "dev")  # leaves it alone
    labels = torch.cat([batch.label for batch in batches])
    assert trainer.network.memory_label.tolist() == labels[-10:].tolist()
    assert "memory_z" not in trainer.weights()
    resumed = Trainer(dialogues, params, 1)
    resumed.restore(trainer.state())
    assert torch.equal(resumed.network.memory_z, trainer.network.memory_z)


def test_refit_trains_anew_on_train_and_dev_for_the_chosen_number_of_epochs(make_features, small_params):
    params = changed(small_params, epochs=4, learning_rate=1e-2, dropout=0.1, decay_every_epochs=2)
    features = make_features(noise=2.0)
    chosen = train_seed(dialogues_of(features, params), params, seed=0)
    refitted = train_seed(dialogues_of(features, params), changed(params, refit=True), seed=0)
    assert (refitted.selected, refitted.epochs) == (chosen.selected, chosen.epochs)
    # The same by hand: a corpus whose dev is part of train, as many epochs.
    dialogues = dialogues_of(features, params)
    together = replace(
        dialogues, spans=dialogues.spans | {"train": dialogues.spans["train"] + dialogues.spans["dev"]}
    )
    by_hand = changed(params, epochs=chosen.selected.epoch)
    with deterministic(0, dialogues.label.device):
        trainer = Trainer(together, by_hand, 0)
        for number in range(1, by_hand.epochs + 1):
            trainer.run_epoch(number, together.spans["train"], dialogues.spans["dev"])
    expected = trainer.weights()
    assert all(torch.equal(refitted.weights[name], expected[name]) for name in expected)


def test_refit_needs_labels_to_be_scored_on(make_features, small_params, without_labels):
    dialogues = dialogues_of(without_labels(make_features(), "test"), small_params)
    with pytest.raises(UserError, match="refit: the test split has no labelled utterance"):
        train_seed(dialogues, changed(small_params, refit=True), seed=0)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_split_without_labels_stops_training(make_features, small_params, without_labels, split):
    dialogues = dialogues_of(without_labels(make_features(), split), small_params)
    with pytest.raises(UserError, match=f"the {split} split has no labelled utterance"):
        train_seed(dialogues, small_params, seed=0)


def test_a_class_absent_from_training_and_unlabelled_utterances_are_fine(make_features, small_params):
    features = make_features()
    label = np.where((features.split == "train") & (features.label == 2), -1, features.label)
    run = train_seed(dialogues_of(replace(features, label=label), small_params), small_params, seed=0)
    assert np.isfinite([run.selected.train_loss, run.selected.dev_loss]).all()


def test_a_loss_that_is_not_finite_names_seed_epoch_batch_and_part(make_features, small_params):
    params = changed(small_params, learning_rate=1e30, batch_dialogues=3)
    dialogues = dialogues_of(make_features(), params)
    with pytest.raises(UserError, match=r"seed 5, epoch 1, batch \d: the \w+ loss is (nan|inf|-inf)"):
        train_seed(dialogues, params, seed=5)


def test_predictions_cover_unlabelled_utterances(make_features, small_params, without_labels):
    features = without_labels(make_features(), "test")
    params = changed(small_params, batch_dialogues=3)
    dialogues = dialogues_of(features, params)
    network = network_of(params, dialogues)
    predictions = predict(network, dialogues, dialogues.spans["test"], params)
    assert predictions.row.tolist() == np.flatnonzero(features.split == "test").tolist()
    assert predictions.probability.shape == (len(predictions.row), 3)
    assert predict(network, dialogues, [], params).probability.shape == (0, 3)
