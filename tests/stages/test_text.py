from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    DistilBertConfig,
    ModernBertConfig,
    PretrainedConfig,
)

from pipeline.encoders.weights import ORIGIN
from pipeline.encoders.windows import Window, build_windows
from pipeline.errors import UserError
from pipeline.manifest import Utterance, write_table
from pipeline.params import CorpusParams, read_params
from pipeline.work.stagefile import read_stage_file
from stages import text
from stages.finetune import make_encoder
from stages.text import _batches, embed_dialogue

PROJECT = Path(__file__).parents[2]
LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
LINES = ("I am so happy!", "", "😀😀", "שלום", "bad\x07 bell\x00", "word " * 10_000, "\u202e\ufeff", "Why?")


def dialogue(lines: tuple[str, ...] = LINES, split: str = "train") -> list[Utterance]:
    labels = ("joy", "anger")
    return [
        Utterance(f"{split}_dia0_utt{i}", split, f"{split}_dia0", i, "ABC"[i % 3], labels[i % 2], line)
        for i, line in enumerate(lines)
    ]


@pytest.fixture(scope="module")
def params() -> CorpusParams:
    return read_params(PROJECT / "params.yaml").corpus("demo")


@pytest.fixture(scope="module")
def encoder(params: CorpusParams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained RoBERTa, fine-tuned for one epoch."""
    folder = tmp_path_factory.mktemp("encoder")
    quick = params.model_copy(update={"finetune": params.finetune.model_copy(update={"epochs": 1})})
    utterances = dialogue(split="train") + dialogue(split="dev")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        curve, origin = make_encoder("demo", quick, utterances, LABELS, folder)
    assert [row.epoch for row in curve] == [1]
    assert origin["encoder"].startswith("UNTRAINED RoBERTa")
    assert "fine-tuned" in origin["encoder"]
    return folder


def test_the_encoder_is_a_folder_that_transformers_loads(encoder: Path) -> None:
    assert (encoder / "model.safetensors").is_file()
    model = AutoModel.from_pretrained(encoder)
    assert model.config.id2label[4] == "joy"
    assert AutoTokenizer.from_pretrained(encoder)("hello")["input_ids"][0] == 0


def test_difficult_text_gives_finite_vectors_and_empty_text_a_reason(
    encoder: Path, params: CorpusParams
) -> None:
    result = embed_dialogue(dialogue(), encoder, params.window, "first")
    assert result["features"].shape == (len(LINES), 256)
    assert np.isfinite(result["features"]).all()
    assert result["reason"].tolist() == ["", "no text", *[""] * 6]
    assert not result["features"][1].any()
    assert result["cut"].tolist() == [False] * 5 + [True] + [False] * 2
    assert result["context_dropped"].tolist() == [0, 0, 0, 1, 2, 4, 2, 1]


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_padded_batch_gives_what_each_window_gives_alone(
    encoder: Path, params: CorpusParams, pooling: str
) -> None:
    result = embed_dialogue(dialogue(), encoder, params.window, pooling)
    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()
    for row, window in enumerate(build_windows(dialogue(), tokenizer, params.window)):
        if row == 1:
            continue
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([window.token_ids])).last_hidden_state[0]
        alone = hidden[0] if pooling == "first" else hidden.mean(dim=0)
        np.testing.assert_allclose(result["features"][row], alone.numpy(), atol=1e-5)


def test_batches_hold_every_window_once_and_bound_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BATCH_TOKENS", 100)
    lengths = [7, 100, 120, 30, 33, 34, 5]
    windows = [Window([0] * length, past=0, future=0, dropped=0, cut=False) for length in lengths]
    batches = list(_batches(windows))
    assert [[lengths[row] for row in batch] for batch in batches] == [[120], [100], [34, 33], [30, 7, 5]]


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_bert_that_pads_on_the_left_is_embedded_exactly_too(
    params: CorpusParams, tmp_path: Path, pooling: str
) -> None:
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
    result = embed_dialogue(dialogue(), tmp_path, params.window, pooling)
    for row, window in enumerate(build_windows(dialogue(), tokenizer, params.window)):
        if row == 1:
            continue
        with torch.no_grad():
            hidden = model.bert(input_ids=torch.tensor([window.token_ids])).last_hidden_state[0]
        alone = hidden[0] if pooling == "first" else hidden.mean(dim=0)
        np.testing.assert_allclose(result["features"][row], alone.numpy(), atol=1e-5)


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
    params: CorpusParams, tmp_path: Path, config: PretrainedConfig
) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz:!?."]
    tokenizer = BertTokenizer(vocab={token: index for index, token in enumerate(tokens)})
    AutoModel.from_config(config).save_pretrained(tmp_path / "given")
    tokenizer.save_pretrained(tmp_path / "given")
    finetune = params.finetune.model_copy(update={"encoder": str(tmp_path / "given"), "epochs": 0})
    given = params.model_copy(update={"finetune": finetune})
    (tmp_path / "out").mkdir()
    make_encoder("demo", given, dialogue(), LABELS, tmp_path / "out")
    result = embed_dialogue(dialogue(), tmp_path / "out", params.window, "first")
    assert np.isfinite(result["features"]).all()
    assert result["features"][0].any()


def test_an_encoder_with_weights_that_are_not_numbers_is_an_error(
    encoder: Path, params: CorpusParams, tmp_path: Path
) -> None:
    shutil.copytree(encoder, tmp_path, dirs_exist_ok=True)
    tensors = load_file(encoder / "model.safetensors")
    tensors["roberta.embeddings.LayerNorm.bias"][0] = torch.nan
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"text encoder: .* not finite"):
        embed_dialogue(dialogue(), tmp_path, params.window, "first")


def test_what_did_not_fit_is_printed_and_told_in_the_provenance(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTIEMO_WORKERS", "1")
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    data = tmp_path / "data" / "demo"
    shutil.copytree(encoder, data / "text_encoder")
    (data / "text_encoder" / ORIGIN).write_text('{"encoder": "small"}')
    rows = dialogue(("Hi.", "word " * 500, "", "Why?", *["Yes."] * 40))
    write_table(data / "utterances.csv", rows, Utterance)
    text.main("demo")
    assert "text: 1 windows with the utterance itself cut, 4 windows without all" in capsys.readouterr().out
    arrays, provenance = read_stage_file(data / "text.h5", [row.id for row in rows])
    assert provenance["figures"] == {
        "windows with the utterance itself cut": 1,
        "windows without all of their context": 4,
    }
    assert arrays["features"].shape == (44, 256)
    assert np.flatnonzero(arrays["context_dropped"]).tolist() == [0, 1, 2, 3]


def test_a_missing_encoder_is_an_error_that_names_key_and_path(params: CorpusParams, tmp_path: Path) -> None:
    absent = params.finetune.model_copy(update={"encoder": str(tmp_path / "roberta")})
    with pytest.raises(UserError, match=r"corpora\.demo\.finetune\.encoder: no model folder .*roberta"):
        make_encoder("demo", params.model_copy(update={"finetune": absent}), dialogue(), LABELS, tmp_path)


def test_an_encoder_that_lacks_weights_is_refused_and_never_made_up(
    encoder: Path, params: CorpusParams, tmp_path: Path
) -> None:
    tensors = load_file(encoder / "model.safetensors")
    del tensors["roberta.encoder.layer.0.attention.self.query.weight"]
    with pytest.raises(
        UserError, match=r"finetune\.encoder: the weights in .* 1 are missing .*query\.weight"
    ):
        make_encoder(
            "demo", with_encoder(params, encoder, tensors, tmp_path), dialogue(), LABELS, tmp_path / "out"
        )


def test_an_encoder_without_a_classifier_is_what_fine_tuning_expects(
    encoder: Path, params: CorpusParams, tmp_path: Path
) -> None:
    tensors = {
        name: t for name, t in load_file(encoder / "model.safetensors").items() if "classifier" not in name
    }
    (tmp_path / "out").mkdir()
    curve, origin = make_encoder(
        "demo", with_encoder(params, encoder, tensors, tmp_path), dialogue(), LABELS, tmp_path / "out"
    )
    assert curve == []
    assert origin == {"encoder": f"roberta from {tmp_path / 'given'}, not fine-tuned"}


def test_a_window_longer_than_the_encoder_reads_is_refused(
    encoder: Path, params: CorpusParams, tmp_path: Path
) -> None:
    given = with_encoder(params, encoder, load_file(encoder / "model.safetensors"), tmp_path)
    longer = given.model_copy(update={"window": params.window.model_copy(update={"max_tokens": 129})})
    with pytest.raises(UserError, match=r"corpora\.demo\.window\.max_tokens: 129 is more than the 128"):
        make_encoder("demo", longer, dialogue(), LABELS, tmp_path / "out")


def with_encoder(params: CorpusParams, encoder: Path, tensors: dict, tmp_path: Path) -> CorpusParams:
    """Params that name a copy of the encoder with other weights, and do not fine-tune it."""
    given = tmp_path / "given"
    shutil.copytree(encoder, given)
    save_file(tensors, given / "model.safetensors", metadata={"format": "pt"})
    finetune = params.finetune.model_copy(update={"encoder": str(given), "epochs": 0})
    return params.model_copy(update={"finetune": finetune})
