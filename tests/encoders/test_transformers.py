from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BartConfig, GPT2Config, PretrainedConfig, T5Config, ViTConfig

from pipeline.encoders.text.transformers import Params, UntrainedTextEncoder, find_encoder
from pipeline.errors import UserError
from tests.encoders.texts import KEY, LABELS, SIZE, WINDOW, dialogue, encoder_in, save_untrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_untrained(tmp_path / "encoder")


def change_weights(folder: Path, keep) -> None:
    """Keep of an encoder's tensors those whose name ``keep`` says."""
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if keep(name)}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def test_an_untrained_encoder_says_so_and_is_fixed_by_its_seed_and_size() -> None:
    sizes = [SIZE, SIZE.model_copy(update={"seed": 1}), SIZE.model_copy(update={"layers": 1})]
    encoders = [find_encoder(KEY, Params(weights="untrained", untrained=size), None) for size in sizes]
    assert all(encoder.description.startswith("UNTRAINED RoBERTa") for encoder in encoders)
    assert encoders[0].path is None
    weights = []
    for encoder in encoders[:1] * 2 + encoders[1:]:
        _, network = encoder.load(dialogue(), LABELS, WINDOW, seed=0)
        weights.append(network.state_dict()["roberta.embeddings.word_embeddings.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert len({str(encoder.settings) for encoder in encoders}) == 3


def test_an_untrained_encoder_learns_its_words_from_the_training_split_alone() -> None:
    encoder = find_encoder(KEY, Params(weights="untrained", untrained=SIZE), None)
    lines = ("See you at the wonderful end.",) * 5
    tokenizer, _ = encoder.load(dialogue(lines), LABELS, WINDOW, seed=0)
    assert "Ġwonderful" in tokenizer.get_vocab()
    test = [replace(row, split="test") for row in dialogue(lines)]
    tokenizer, _ = encoder.load(test, LABELS, WINDOW, seed=0)
    assert "Ġwonderful" not in tokenizer.get_vocab()


def test_an_encoder_is_defined_by_its_content_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    found = encoder_in(folder)
    assert found.description == f"roberta from {folder}"
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert encoder_in(copy).settings == found.settings
    tokenizer = copy / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert encoder_in(copy).settings != found.settings


def test_an_encoder_that_lacks_weights_is_refused_and_never_made_up(folder: Path) -> None:
    change_weights(folder, lambda name: name != "roberta.encoder.layer.0.attention.self.query.weight")
    with pytest.raises(UserError, match=rf"{KEY}: the weights in .* 1 are missing .*query\.weight"):
        encoder_in(folder).load(dialogue(), LABELS, WINDOW, seed=0)


def test_an_encoder_without_a_classifier_gets_one_made_of_the_seed(folder: Path) -> None:
    change_weights(folder, lambda name: "classifier" not in name)
    heads = []
    for seed in (0, 0, 1):
        _, network = encoder_in(folder).load(dialogue(), LABELS, WINDOW, seed=seed)
        heads.append(network.state_dict()["classifier.out_proj.weight"])
    assert heads[0].shape == (len(LABELS), SIZE.hidden_size)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_window_longer_than_the_encoder_reads_is_refused(folder: Path) -> None:
    longer = WINDOW.model_copy(update={"max_tokens": 129})
    with pytest.raises(UserError, match=r"corpora\.demo\.window\.max_tokens: 129 is more than the 128"):
        encoder_in(folder).load(dialogue(), LABELS, longer, seed=0)


def test_a_folder_whose_config_is_no_models_is_an_error_that_names_the_key(folder: Path) -> None:
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=rf"{KEY}: .*encoder cannot be loaded: "):
        encoder_in(folder)


@pytest.mark.parametrize(
    "config",
    [
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2),
        GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2),
        T5Config(vocab_size=40, d_model=16, d_ff=16, num_layers=1, num_heads=2),
        BartConfig(
            vocab_size=40, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2,
        ),
    ],
    ids=lambda config: config.model_type,
)  # fmt: skip
def test_what_does_not_read_text_both_ways_is_refused_before_it_is_loaded(
    tmp_path: Path, config: PretrainedConfig
) -> None:
    AutoModel.from_config(config).save_pretrained(tmp_path)
    message = rf"^{KEY}: {tmp_path} is a {config.model_type}, and no encoder of text"
    with pytest.raises(UserError, match=message):
        encoder_in(tmp_path)


def test_a_folder_without_its_tokenizer_is_refused(folder: Path) -> None:
    """transformers makes up a tokenizer that knows no word."""
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises(UserError, match=rf"^{KEY}: .*encoder holds no tokenizer .*; fetch the model whole$"):
        encoder_in(folder).load(dialogue(), LABELS, WINDOW, seed=0)


def test_code_in_a_folder_is_never_run_and_nobody_is_asked(folder: Path, tmp_path: Path) -> None:
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Net: pass\n")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "modeling.Net", "AutoModel": "modeling.Net"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=rf"^{KEY}: .*encoder cannot be loaded: .*custom code"):
        encoder_in(folder)
    assert not (tmp_path / "ran").exists()


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="heads: 3 does not divide hidden_size: 32"):
        UntrainedTextEncoder(hidden_size=32, heads=3)
