"""Runs that are killed, and runs that cannot go on."""

from __future__ import annotations

import pytest
import torch

from pipeline.params import Kind
from tests.train.plain import cogmen
from tests.train.small import NETWORK, changed, dialogues_of
from train.checkpoint import Checkpoints
from train.loop import TrainingStoppedError, Watcher, train_seed
from train.trainer import Trainer


class StopError(Exception):
    pass


class Recorder(Watcher):
    """Notes what it is told, and calls ``then`` after an epoch, and ``before`` training on train and dev."""

    def __init__(self, then=lambda epoch: None, before=lambda selected: None):
        self.done, self.new = [], []
        self.then, self.before = then, before

    def on_resume(self, epochs):
        self.done += epochs

    def on_epoch(self, epoch):
        self.new.append(epoch)
        self.then(epoch)

    def on_refit(self, selected):
        self.before(selected)


def stop_after(number):
    def then(epoch):
        if epoch.epoch == number:
            raise StopError

    return Recorder(then)


def assert_same_run(run, other):
    assert (run.selected, run.epochs, run.test_best) == (other.selected, other.epochs, other.test_best)
    assert run.weights.keys() == other.weights.keys()
    assert all(torch.equal(run.weights[name], other.weights[name]) for name in run.weights)


@pytest.mark.parametrize("stopped_after", [1, 3, 5])
def test_a_resumed_run_ends_with_the_bits_of_an_undisturbed_one(
    make_features, small_params, tmp_path, monkeypatch, stopped_after
):
    monkeypatch.setattr("train.checkpoint.SHARE_OF_TIME", 1e9)  # every epoch
    params = changed(small_params, epochs=5, dropout=0.2, decay_every_epochs=2)
    dialogues = dialogues_of(make_features(), params)
    undisturbed = train_seed(dialogues, params, seed=3)
    path = tmp_path / "state.pt"
    with pytest.raises(StopError):
        train_seed(dialogues, params, 3, stop_after(stopped_after), path)
    recorder = Recorder()
    resumed = train_seed(dialogues, params, 3, recorder, path)
    assert_same_run(resumed, undisturbed)
    assert len(recorder.done) == stopped_after
    assert recorder.done + recorder.new == undisturbed.epochs


def test_a_run_that_is_stopped_before_it_trains_on_dev_ends_with_the_same_bits(
    make_features, small_params, tmp_path
):
    params = changed(small_params, epochs=3, dropout=0.2, refit=True)
    dialogues = dialogues_of(make_features(), params)

    def stop(selected):
        raise StopError

    path = tmp_path / "state.pt"
    with pytest.raises(StopError):
        train_seed(dialogues, params, 3, Recorder(before=stop), path)
    resumed = train_seed(dialogues, params, 3, checkpoint=path)
    assert_same_run(resumed, train_seed(dialogues, params, 3))
    # Once more: the state is now that of the last epoch on train and dev.
    assert_same_run(train_seed(dialogues, params, 3, checkpoint=path), resumed)


NETWORKS = {
    "a memory of earlier samples": NETWORK | {"loss": {"memory_utterances": 10}, "dropout": 0.2},
    "batch normalisation": {"kind": "cogmen", **cogmen.SMALL["code"], "dropout": 0.2},
}


@pytest.mark.parametrize("where", ["epoch 2, validation", "epoch 2 on train and dev"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_run_that_is_stopped_anywhere_ends_with_the_same_bits_whatever_its_network_remembers(
    make_features, small_params, tmp_path, monkeypatch, network, where
):
    monkeypatch.setattr("train.checkpoint.SHARE_OF_TIME", 1e9)  # every epoch
    params = changed(small_params, epochs=3, learning_rate=1e-2, batch_dialogues=2, refit=True)
    params = params.model_copy(update={"network": Kind.model_validate(NETWORKS[network])})
    dialogues = dialogues_of(make_features(noise=2.0), params)
    undisturbed = train_seed(dialogues, params, seed=3)
    assert undisturbed.selected.epoch > 1  # so that it can be stopped before the last on train and dev

    def stop(method):
        def or_stop(trainer, spans, place):
            if place.endswith(where):
                raise StopError
            return method(trainer, spans, place)

        return or_stop

    path = tmp_path / "state.pt"
    with monkeypatch.context() as stopped:
        for name in ("fit_epoch", "score"):
            stopped.setattr(Trainer, name, stop(getattr(Trainer, name)))
        with pytest.raises(StopError):
            train_seed(dialogues, params, 3, checkpoint=path)
    assert Checkpoints(path).load()["refitted"] == (1 if where.endswith("dev") else 0)
    assert_same_run(train_seed(dialogues, params, 3, checkpoint=path), undisturbed)


def test_a_resumed_run_does_not_repeat_what_is_done(make_features, small_params, tmp_path, monkeypatch):
    monkeypatch.setattr("train.checkpoint.SHARE_OF_TIME", 1e9)
    params = changed(small_params, epochs=3)
    dialogues = dialogues_of(make_features(), params)
    path = tmp_path / "state.pt"
    with pytest.raises(StopError):
        train_seed(dialogues, params, 0, stop_after(2), path)
    state = torch.load(path, weights_only=True)
    state["run"]["epochs"][1]["train_loss"] = 123.0  # would not be there if it were computed again
    torch.save(state, path)
    resumed = train_seed(dialogues, params, 0, checkpoint=path)
    assert [epoch.epoch for epoch in resumed.epochs] == [1, 2, 3]
    assert resumed.epochs[1].train_loss == 123.0


def test_a_run_whose_patience_is_over_is_not_taken_up_again(make_features, small_params, tmp_path):
    params = changed(small_params, epochs=30, learning_rate=1e-2, patience_epochs=2)
    dialogues = dialogues_of(make_features(), params)
    path = tmp_path / "state.pt"
    ended = train_seed(dialogues, params, 0, checkpoint=path)
    assert len(ended.epochs) < 30
    assert_same_run(train_seed(dialogues, params, 0, stop_after(1), path), ended)


def test_a_state_that_cannot_be_read_is_as_good_as_none(make_features, small_params, tmp_path):
    dialogues = dialogues_of(make_features(), small_params)
    path = tmp_path / "state.pt"
    path.write_bytes(b"half a file")
    assert_same_run(
        train_seed(dialogues, small_params, 0, checkpoint=path), train_seed(dialogues, small_params, 0)
    )


def test_saving_takes_a_small_share_of_the_time_and_the_last_state_is_always_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path / "state.pt")
    for number in range(100):
        checkpoints.save({"number": torch.tensor(number)}, last=False)
    assert checkpoints.load() == {"number": 0}
    checkpoints.save({"number": torch.tensor(100)}, last=True)
    assert checkpoints.load() == {"number": 100}
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_the_best_run_so_far_is_handed_on_when_a_loss_is_not_finite(make_features, small_params):
    params = changed(small_params, epochs=4)
    dialogues = dialogues_of(make_features(), params)
    undisturbed = train_seed(dialogues, small_params, 0)

    def poison(epoch):
        if epoch.epoch == 2:
            dialogues.features["text"].fill_(torch.inf)

    with pytest.raises(TrainingStoppedError, match=r"seed 0, epoch 3, batch 1: the \w+ loss is") as error:
        train_seed(dialogues, params, 0, Recorder(then=poison))
    assert_same_run(error.value.run, undisturbed)


def test_a_run_that_stops_at_once_has_nothing_to_keep(make_features, small_params):
    params = changed(small_params, learning_rate=1e30, batch_dialogues=3)
    with pytest.raises(TrainingStoppedError, match=r"epoch 1, batch \d: the \w+ loss is") as error:
        train_seed(dialogues_of(make_features(), params), params, seed=5)
    assert error.value.run is None


def test_a_last_step_that_overflows_is_no_finished_training(
    make_features, small_params, tmp_path, monkeypatch
):
    """No loss comes after the last step on train and dev, where nothing is scored any more."""
    params = changed(small_params, epochs=1, batch_dialogues=100, refit=True)
    dialogues = dialogues_of(make_features(), params)

    def overflow(selected):
        monkeypatch.setattr("train.trainer.learning_rate", lambda *_: 1e39)

    path = tmp_path / "state.pt"
    with pytest.raises(
        TrainingStoppedError, match=r"seed 0, epoch 1 on train and dev: \S+ is no longer"
    ) as error:
        train_seed(dialogues, params, 0, Recorder(before=overflow), path)
    assert all(tensor.isfinite().all() for tensor in error.value.run.weights.values())
    assert Checkpoints(path).load()["refitted"] == 0
