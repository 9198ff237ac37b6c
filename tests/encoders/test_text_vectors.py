from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    DistilBertConfig,
    ModernBertConfig,
    PretrainedConfig,
)

from pipeline.encoders import text_vectors
from pipeline.encoders.text_vectors import _batches, embed_dialogue
from pipeline.encoders.weights import find_local
from pipeline.encoders.windows import Window, build_windows
from pipeline.errors import UserError
from tests.encoders.texts import (
    LABELS,
    LINES,
    WINDOW,
    dialogue,
    encoder_in,
    save_in_half_precision,
    save_untrained,
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained(tmp_path_factory.mktemp("encoder"))


def test_difficult_text_gives_finite_vectors_and_empty_text_a_reason(encoder: Path) -> None:
    result = embed_dialogue(dialogue(), encoder, WINDOW, "first")
    assert result["features"].shape == (len(LINES), 32)
    assert np.isfinite(result["features"]).all()
    assert result["reason"].tolist() == ["", "no text", *[""] * 6]
    assert not result["features"][1].any()
    assert result["cut"].tolist() == [False] * 5 + [True] + [False] * 2
    assert result["context_dropped"].tolist() == [0, 0, 0, 1, 2, 4, 2, 1]


def alone(network: torch.nn.Module, window: Window, pooling: str) -> np.ndarray:
    """The vector of one window that nothing is padded to."""
    with torch.no_grad():
        hidden = network(input_ids=torch.tensor([window.token_ids])).last_hidden_state[0]
    return (hidden[0] if pooling == "first" else hidden.mean(dim=0)).numpy()


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_padded_batch_gives_what_each_window_gives_alone(encoder: Path, pooling: str) -> None:
    result = embed_dialogue(dialogue(), encoder, WINDOW, pooling)
    tokenizer, network = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()
    for row, window in enumerate(build_windows(dialogue(), tokenizer, WINDOW)):
        if row != 1:
            np.testing.assert_allclose(result["features"][row], alone(network, window, pooling), atol=1e-5)


@pytest.mark.parametrize("layers", [(1,), (-2, -1)])
def test_layers_are_those_of_the_network_and_their_mean_is_taken(
    encoder: Path, layers: tuple[int, ...]
) -> None:
    result = embed_dialogue(dialogue(), encoder, WINDOW, "mean", layers)
    tokenizer, network = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()
    for row, window in enumerate(build_windows(dialogue(), tokenizer, WINDOW)):
        with torch.no_grad():
            said = network(input_ids=torch.tensor([window.token_ids]), output_hidden_states=True)
        states = torch.stack([said.hidden_states[layer] for layer in layers]).mean(dim=0)
        if row != 1:
            np.testing.assert_allclose(result["features"][row], states[0].mean(dim=0), atol=1e-5)
    with pytest.raises(UserError, match=r"^text\.layers: there is no layer 3; RobertaModel has 2"):
        embed_dialogue(dialogue(), encoder, WINDOW, "mean", (3,))


def test_batches_hold_every_window_once_and_bound_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_vectors, "BATCH_TOKENS", 100)
    lengths = [7, 100, 120, 30, 33, 34, 5]
    windows = [Window([0] * length, past=0, future=0, dropped=0, cut=False) for length in lengths]
    batches = list(_batches(windows))
    assert [[lengths[row] for row in batch] for batch in batches] == [[120], [100], [34, 33], [30, 7, 5]]


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_bert_that_pads_on_the_left_is_embedded_exactly_too(tmp_path: Path, pooling: str) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz:!?."]
    vocabulary = {token: index for index, token in enumerate([*tokens, *(f"##{c}" for c in tokens[5:])])}
    tokenizer = BertTokenizer(vocab=vocabulary, padding_side="left")
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=128, attn_implementation="sdpa",
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    result = embed_dialogue(dialogue(), tmp_path, WINDOW, pooling)
    for row, window in enumerate(build_windows(dialogue(), tokenizer, WINDOW)):
        if row != 1:
            np.testing.assert_allclose(result["features"][row], alone(model.bert, window, pooling), atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        DistilBertConfig(vocab_size=40, dim=32, n_layers=1, n_heads=2, hidden_dim=64),
        ModernBertConfig(
            vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
        ),
    ],
    ids=lambda config: config.model_type,
)  # fmt: skip
def test_an_encoder_may_lack_whatever_transformers_puts_on_top_of_it(
    tmp_path: Path, config: PretrainedConfig
) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz:!?."]
    tokenizer = BertTokenizer(vocab={token: index for index, token in enumerate(tokens)})
    AutoModel.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    _, network = encoder_in(tmp_path).load(dialogue(), LABELS, WINDOW, seed=0)
    assert network.config.num_labels == len(LABELS)
    result = embed_dialogue(dialogue(), tmp_path, WINDOW, "first")
    assert np.isfinite(result["features"]).all()
    assert result["features"][0].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_are_computed_with_in_float32(
    encoder: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    half, single = save_in_half_precision(encoder, tmp_path, dtype)
    assert {tensor.dtype for tensor in load_file(half / "model.safetensors").values()} == {dtype}
    results = [embed_dialogue(dialogue(), folder, WINDOW, "mean")["features"] for folder in (half, single)]
    np.testing.assert_array_equal(*results)


def test_weights_in_several_files_give_the_same(encoder: Path, tmp_path: Path) -> None:
    network = AutoModelForSequenceClassification.from_pretrained(encoder)
    network.save_pretrained(tmp_path, max_shard_size="20KB")
    AutoTokenizer.from_pretrained(encoder).save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 1
    in_one, in_several = (embed_dialogue(dialogue(), each, WINDOW, "mean") for each in (encoder, tmp_path))
    np.testing.assert_array_equal(in_one["features"], in_several["features"])


def test_weights_that_take_the_place_of_others_are_those_that_are_used(encoder: Path, tmp_path: Path) -> None:
    """A worker of a cluster outlives an encoder: the next fine-tuning writes into the same folder."""
    folder = tmp_path / "text_encoder"
    found = []
    for number in range(2):
        shutil.copytree(encoder, folder, dirs_exist_ok=True)
        tensors = load_file(encoder / "model.safetensors")
        tensors["roberta.embeddings.LayerNorm.bias"] += number
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        digest = tuple(find_local("text encoder", str(folder)).digest.items())
        found.append(embed_dialogue(dialogue(), folder, WINDOW, "mean", digest=digest)["features"])
    assert not np.array_equal(*found)
    moved = folder.rename(tmp_path / "moved")
    np.testing.assert_array_equal(found[1], embed_dialogue(dialogue(), moved, WINDOW, "mean")["features"])


def test_an_encoder_with_weights_that_are_not_numbers_is_an_error(encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(encoder, tmp_path, dirs_exist_ok=True)
    tensors = load_file(encoder / "model.safetensors")
    tensors["roberta.embeddings.LayerNorm.bias"][0] = torch.nan
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"^train_dia0_utt0: the text encoder .* not finite; are"):
        embed_dialogue(dialogue(), tmp_path, WINDOW, "first")
