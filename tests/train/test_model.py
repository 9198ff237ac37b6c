"""The whole network, and trained models on disk."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import UserError
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import MODALITIES
from pipeline.store.keys import file_digest
from tests.train.small import changed, dialogues_of, network_of
from train.loop import predict
from train.model import ModelCard, Selected, TrainedModel, load_model, save_model
from train.networks import build_network
from train.networks.multiemo import ContextParams

DIMS = {"text": 12, "audio": 20, "visual": 16}
SUBSETS = [list(names) for size in (1, 2, 3) for names in combinations(MODALITIES, size)]


def network_and_dialogues(features, params):
    torch.manual_seed(0)
    dialogues = dialogues_of(features, params)
    return network_of(params, dialogues).eval(), dialogues


def logits_by_row(network, dialogues, spans, batch_dialogues):
    logits = {}
    with torch.no_grad():
        for batch in dialogues.batches(spans, batch_dialogues):
            logits |= dict(zip(batch.row.tolist(), network(batch).logits, strict=True))
    return torch.stack([logits[row] for row in sorted(logits)])


def affine(layer, x):
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [sum(w * value for w, value in zip(weights, x, strict=True)) + bias for weights, bias in rows]


def test_classification_is_eq_13_to_17(make_features, small_params):
    network, dialogues = network_and_dialogues(make_features(), small_params)
    network.double()
    dialogues = replace(dialogues, features={m: f.double() for m, f in dialogues.features.items()})
    spans = dialogues.spans["test"]
    batch = dialogues.batch(spans)
    output, predictions = network(batch), predict(network, dialogues, spans, small_params)
    for place, row in enumerate(batch.row.tolist()):
        f = [x for m in ("text", "audio", "visual") for x in output.fused[m][place].tolist()]
        z = affine(network.fc_z, f)
        hidden = [max(0.0, x) for x in affine(network.fc_l, z)]
        exponentials = [math.exp(x) for x in affine(network.fc_p, hidden)]
        p = [x / sum(exponentials) for x in exponentials]
        assert output.z[place].tolist() == pytest.approx(z, rel=1e-10, abs=1e-12)
        found = predictions.row.tolist().index(row)
        assert predictions.probability[found].tolist() == pytest.approx(p, rel=1e-10)
        assert predictions.label[found] == p.index(max(p))


@pytest.mark.parametrize("fusion", ["multiattn", "concat"])
def test_padding_batch_size_and_order_do_not_change_logits(make_features, small_params, fusion):
    network, dialogues = network_and_dialogues(make_features(), changed(small_params, fusion=fusion))
    spans = dialogues.spans["train"]
    assert len({len(span) for span in spans}) > 3
    alone = logits_by_row(network, dialogues, spans, 1)
    for size, order in ((len(spans), spans), (5, spans[::-1]), (3, spans)):
        torch.testing.assert_close(logits_by_row(network, dialogues, order, size), alone, rtol=0, atol=1e-5)


def test_values_of_unobserved_utterances_do_not_matter(make_features, small_params):
    context = ContextParams(text="none", audio="dialogue_rnn", visual="dialogue_rnn")
    network, dialogues = network_and_dialogues(make_features(), changed(small_params, context=context))
    spans = dialogues.spans["train"]
    noisy = replace(
        dialogues,
        features={
            m: torch.where(dialogues.observed[m][:, None], f, 9.0) for m, f in dialogues.features.items()
        },
    )
    assert any((~observed).any() for observed in dialogues.observed.values())
    assert torch.equal(logits_by_row(network, noisy, spans, 4), logits_by_row(network, dialogues, spans, 4))


@pytest.mark.parametrize("fusion", ["multiattn", "concat"])
@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_any_subset_of_modalities_trains_every_parameter(make_features, small_params, names, fusion):
    params = changed(small_params, modalities=tuple(names), fusion=fusion)
    network, dialogues = network_and_dialogues(make_features(), params)
    batch = dialogues.batch(dialogues.spans["train"])
    output = network(batch)
    assert output.logits.shape == (*batch.label.shape, 3)
    assert list(output.fused) == names
    network.losses(output, batch.label)["total"].backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_one_dialogue_of_one_utterance_that_nobody_observed_is_finite(make_features, small_params):
    network, dialogues = network_and_dialogues(make_features(), small_params)
    span = next(span for span in dialogues.spans["train"] if len(span) == 1)
    blind = replace(dialogues, observed={m: torch.zeros_like(o) for m, o in dialogues.observed.items()})
    batch = blind.batch([span])
    output = network(batch)
    network.losses(output, batch.label)["total"].backward()
    assert torch.isfinite(output.logits).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.fixture
def trained(make_features, small_params):
    features = make_features()
    weights = {}
    for seed in (0, 7):
        torch.manual_seed(seed)
        weights[seed] = build_network(small_params.network, DIMS, [1, 1, 1]).state_dict()
    card = ModelCard(
        corpus="small",
        class_counts=(1, 1, 1),
        label_names=features.label_names,
        dims=DIMS,
        params=small_params,
        selected={seed: Selected(epoch=2, dev_weighted_f1=0.5) for seed in weights},
        features_sha256=features.digest,
        encoders={"text": "RoBERTa"},
    )
    return TrainedModel(card, fit_standardisation(features, MODALITIES), weights)


def test_a_saved_model_comes_back_bit_by_bit(trained, tmp_path):
    save_model(tmp_path / "model", trained)
    save_model(tmp_path / "model", trained)  # again, over the first
    loaded = load_model(tmp_path / "model")
    assert loaded.card.model_copy(update={"digests": {}}) == trained.card
    assert loaded.weights.keys() == trained.weights.keys()
    for seed, weights in trained.weights.items():
        assert all(torch.equal(loaded.weights[seed][name], tensor) for name, tensor in weights.items())
        network = loaded.network(seed)
        assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in weights.items())
    for name in MODALITIES:
        np.testing.assert_array_equal(loaded.standardisation.mean[name], trained.standardisation.mean[name])
        np.testing.assert_array_equal(loaded.standardisation.scale[name], trained.standardisation.scale[name])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["features.h5", "model"]
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "model.json", "seed_0.safetensors", "seed_7.safetensors", "standardisation.safetensors"
    ]  # fmt: skip


def test_colleagues_can_read_a_saved_model(trained, tmp_path):
    before = os.umask(0o027)
    try:
        save_model(tmp_path / "model", trained)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()} == {0o640}


def test_weights_that_do_not_fit_are_named(trained, tmp_path):
    folder = tmp_path / "model"
    save_model(folder, trained)
    weights = load_file(folder / "seed_7.safetensors")
    weights["fc_q.weight"] = weights.pop("fc_z.weight")
    weights["fc_l.weight"] = weights["fc_l.weight"][:3].clone()
    save_file(weights, folder / "seed_7.safetensors")
    with pytest.raises(UserError) as error:
        load_model(folder)
    for words in ("seed_7.safetensors", "lacks fc_z.weight", "foreign 'fc_q.weight'"):
        assert words in str(error.value)
    assert "fc_l.weight is (3, 16) instead of (16, 16)" in str(error.value)


def test_a_missing_or_damaged_file_is_named(trained, tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(UserError, match=r"model\.json: no such file"):
        load_model(folder)
    save_model(folder, trained)
    with pytest.raises(UserError, match=r"model\.json: no such file; name the folder"):
        load_model(folder / "model.json")
    (folder / "seed_0.safetensors").write_bytes(b"garbage that is longer than eight bytes")
    with pytest.raises(UserError, match=r"seed_0\.safetensors: damaged"):
        load_model(folder)
    (folder / "seed_0.safetensors").unlink()
    with pytest.raises(UserError, match=r"seed_0\.safetensors: no such file"):
        load_model(folder)


def change_tensors(path, change):
    """Change a file of a saved model, and its digest in the card, as whoever means to would."""
    tensors = load_file(path)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    card = json.loads((path.parent / "model.json").read_text())
    card["digests"][path.name] = file_digest(path)
    (path.parent / "model.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("seed_7", lambda t: t["fc_l.weight"][0].fill_(torch.nan), "what is no number in fc_l.weight;"),
        ("seed_7", lambda t: t["fc_l.bias"][0].fill_(torch.inf), "what is no number in fc_l.bias;"),
        (
            "seed_7",
            lambda t: t.update({"fc_l.bias": t["fc_l.bias"].half()}),
            "is torch.float16 instead of torch.float32",
        ),
        ("standardisation", lambda t: t["text.mean"][0].fill_(torch.nan), "what is no number in text.mean;"),
        (
            "standardisation",
            lambda t: t["text.scale"][0].fill_(torch.inf),
            "what is no number in text.scale;",
        ),
        ("standardisation", lambda t: t["text.limit"].fill_(torch.nan), "what is no number in text.limit;"),
        ("standardisation", lambda t: t["text.scale"][0].fill_(-1), "text.scale or text.limit is negative"),
        ("standardisation", lambda t: t["text.limit"].fill_(-1), "text.scale or text.limit is negative"),
    ],
)
def test_a_model_with_numbers_that_make_no_sense_is_refused(trained, tmp_path, name, change, words):
    save_model(tmp_path / "model", trained)
    path = tmp_path / "model" / f"{name}.safetensors"
    change_tensors(path, change)
    with pytest.raises(UserError, match=words) as error:
        load_model(tmp_path / "model")
    assert str(error.value).startswith(f"{path}: ")


def test_constant_and_unscaled_features_are_no_damage(trained, tmp_path):
    save_model(tmp_path / "model", trained)
    path = tmp_path / "model" / "standardisation.safetensors"
    change_tensors(path, lambda t: (t["text.scale"].fill_(0), t["audio.limit"].fill_(torch.inf)))
    loaded = load_model(tmp_path / "model").standardisation
    assert (loaded.scale["text"].max(), loaded.limit["audio"]) == (0, np.inf)


@pytest.mark.parametrize("name", ["seed_7.safetensors", "standardisation.safetensors"])
def test_a_file_of_another_training_is_refused(trained, tmp_path, name):
    save_model(tmp_path / "model", trained)
    mean = {each: values + 1 for each, values in trained.standardisation.mean.items()}
    other = replace(
        trained,
        standardisation=replace(trained.standardisation, mean=mean),
        weights={0: trained.weights[7], 7: trained.weights[0]},
    )
    save_model(tmp_path / "other", other)
    (tmp_path / "model" / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(UserError, match=f"{name}: not the file that the model was saved with"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card["params"]["network"].update(layers=10**9), "network.layers"),
        (lambda card: card["params"]["network"].update(hidden_size=2**62), "there is no such network"),
        (lambda card: card["params"]["network"].update(kind="nothing"), "there is no such network"),
        (lambda card: card.update(selected={}), "names no seed"),
        (
            lambda card: card.update(label_names=["joy", "joy", "anger"]),
            "must be different names",
        ),
        (lambda card: card.update(class_counts=[1, 2]), "2 class_counts for 3 label_names"),
        (lambda card: card["dims"].update(text=0), "dims.text: Input should be greater than or equal to 1"),
        (lambda card: card.update(dims={}), "dims of  for modalities"),
    ],
)
def test_a_card_that_describes_no_model_is_refused(trained, tmp_path, change, words):
    save_model(tmp_path / "model", trained)
    path = tmp_path / "model" / "model.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    with pytest.raises(UserError, match=words) as error:
        load_model(tmp_path / "model")
    assert str(error.value).startswith(f"{path}: ")


def test_a_pipe_in_the_place_of_a_models_file_is_not_waited_for(trained, tmp_path):
    save_model(tmp_path / "model", trained)
    for name in ("standardisation.safetensors", "model.json"):
        path = tmp_path / "model" / name
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(UserError, match=f"{name}: no such file"):
            load_model(tmp_path / "model")


def test_a_card_of_another_version_or_with_foreign_keys_is_refused(trained, tmp_path):
    folder = tmp_path / "model"
    save_model(folder, trained)
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"schema_version": 1, "colour": "red"}))
    with pytest.raises(UserError, match=r"(?s)schema_version.*colour"):
        load_model(folder)
