"""Stage finetune in a project of its own, with an untrained encoder of a few thousand weights."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput

from pipeline import runtime
from pipeline.encoders import finetuning
from pipeline.encoders.finetuning import _LikeLengths, _WeightedLoss
from pipeline.encoders.weights import find_local
from pipeline.errors import UserError
from pipeline.manifest import Utterance, write_labels, write_table
from pipeline.store.items import ItemStore
from pipeline.work import torchrun
from stages.finetune import main
from stages.weights import main as pin_weights
from tests.dvc_cache import move_into_cache
from tests.encoders.texts import save_in_half_precision

PROJECT = Path(__file__).parents[2]
LABELS = ("neutral", "joy", "anger")
PHRASES = ("See you at {} then.", "Oh my God, {} is wonderful!", "Do not you dare, {}!", "{}?")
DIFFICULT = (
    "",
    "😀😀",
    "word " * 10_000,
    "שלום עולם, مرحبا",
    "bad\x07 bell\x00\x1b[31m",
    "\u200f\u202e\ufeff",
)
SIZE = {"seed": 0, "hidden_size": 32, "layers": 1, "heads": 2, "vocabulary": 400}
Edit = Callable[..., None]


def conversation(split: str, turns: int) -> list[Utterance]:
    rows = []
    for position in range(turns):
        label = LABELS[position % 3]
        text = PHRASES[position % 3].format(f"number {position}") + " " + PHRASES[3].format(position // 2)
        rows.append(Utterance(f"{split}_{position}", split, split, position, "AB"[position % 2], label, text))
    return rows


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """A project with one dialogue in each split; gives how to change its params."""
    for name in ("MULTIEMO_STORE", "MULTIEMO_DEVICE", "MULTIEMO_FINETUNE_PROCESSES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the processes that tests start
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, [*conversation("train", 24), *conversation("dev", 9), *conversation("test", 3)])
    yaml = YAML(typ="safe")

    def write(window: dict | None = None, encoder: Path | None = None, **finetune) -> None:
        params = yaml.load(PROJECT / "params.yaml")
        demo = params["corpora"]["demo"]
        demo["modalities"] = ["text"]
        demo["window"] |= {"past_utterances": 1, "future_utterances": 1, "max_tokens": 64} | (window or {})
        demo["finetune"] |= {"epochs": 2, "learning_rate": 1e-3} | finetune
        demo["text"]["encoder"] |= {"untrained": SIZE}
        if encoder:
            digest = find_local("text encoder", str(encoder)).sha256()
            demo["text"]["encoder"] |= {"weights": str(encoder), "sha256": digest}
        params["models"] = {}
        with Path("params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(params, file)
        pin_weights("demo")

    write()
    return write


def write_corpus(root: Path, rows: list[Utterance]) -> None:
    (root / "data" / "demo").mkdir(parents=True, exist_ok=True)
    write_table(root / "data" / "demo" / "utterances.csv", rows, Utterance)
    write_labels(root / "data" / "demo" / "labels.json", LABELS)


def result() -> dict[str, bytes]:
    """Every file that the stage has written."""
    files = [*Path("data/demo/text_encoder").iterdir(), *Path("data/demo/plots").iterdir()]
    return {path.name: path.read_bytes() for path in files}


def weights() -> dict[str, torch.Tensor]:
    return load_file("data/demo/text_encoder/model.safetensors")


def test_the_result_is_a_folder_that_transformers_loads_and_two_curves(edit: Edit) -> None:
    main("demo")
    model = AutoModel.from_pretrained("data/demo/text_encoder")
    assert (model.config.hidden_size, model.config.id2label[1]) == (32, "joy")
    assert AutoTokenizer.from_pretrained("data/demo/text_encoder")("hello")["input_ids"][0] == 0
    with Path("data/demo/plots/finetune.csv").open(newline="") as file:
        curve = list(csv.DictReader(file))
    assert [row["epoch"] for row in curve] == ["1", "2"]
    assert all(float(row["train_loss"]) > 0 and 0 <= float(row["dev_weighted_f1"]) <= 100 for row in curve)
    lines = Path("data/demo/plots/finetune_loss.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[0] for line in lines] == [
        "epoch,split",
        "1,train",
        "1,dev",
        "2,train",
        "2,dev",
    ]


def test_a_seed_gives_the_same_bytes_and_another_seed_others(
    edit: Edit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    main("demo")
    first = result()
    monkeypatch.setenv("MULTIEMO_STORE", str(tmp_path / "empty"))
    main("demo")
    assert result() == first
    edit(seed=1)
    main("demo")
    assert result()["model.safetensors"] != first["model.safetensors"]


def test_what_was_trained_once_is_not_trained_again_but_where_sums_have_another_order(
    edit: Edit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main("demo")
    first = result()
    edit(learning_rate=1e-4)
    main("demo")
    assert result() != first
    capsys.readouterr()
    edit()
    main("demo")
    assert "the item store holds this encoder" in capsys.readouterr().out
    assert result() == first
    monkeypatch.setattr(runtime, "device_and_threads", lambda: "another GPU")
    main("demo")
    assert "epoch 2 of 2" in capsys.readouterr().out


def test_a_damaged_item_is_trained_again(edit: Edit, capsys: pytest.CaptureFixture[str]) -> None:
    main("demo")
    first = result()
    (item,) = runtime.store_root().glob("finetune/??/*.h5")
    item.write_bytes(item.read_bytes()[:5000])
    main("demo")
    assert "epoch 2 of 2" in capsys.readouterr().out
    assert result() == first
    assert ItemStore(runtime.store_root(), "finetune").read(item.stem) is not None


def test_a_test_utterance_or_a_renamed_folder_trains_nothing(
    edit: Edit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(epochs=0)
    main("demo")
    given = (tmp_path / "data/demo/text_encoder").rename(tmp_path / "given")
    edit(encoder=given)
    main("demo")
    given = given.rename(tmp_path / "renamed")
    edit(encoder=given)
    test = Utterance("test_0", "test", "test", 0, "A", "joy", "Mended.")
    write_corpus(tmp_path, [*conversation("train", 24), *conversation("dev", 9), test])
    capsys.readouterr()
    main("demo")
    assert "the item store holds this encoder" in capsys.readouterr().out


def test_a_killed_training_goes_on_and_ends_with_the_weights_of_an_undisturbed_one(
    edit: Edit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(epochs=6)
    stage = subprocess.Popen(
        [sys.executable, "-m", "stages", "finetune", "demo"],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.DEVNULL,
    )
    while len(list(runtime.checkpoint_root().glob("*/checkpoint-*/trainer_state.json"))) < 2:
        assert stage.poll() is None
        time.sleep(0.005)
    stage.send_signal(signal.SIGKILL)
    stage.wait()
    (folder,) = runtime.checkpoint_root().iterdir()
    assert not (folder / "best").exists()
    # A checkpoint that the kill met half-written.
    broken = folder / "checkpoint-99"
    broken.mkdir()
    (broken / "trainer_state.json").write_text('{"best_model_ch')

    main("demo")
    assert "finetune: goes on after epoch" in capsys.readouterr().out
    assert not folder.exists()
    disturbed = result()
    monkeypatch.setenv("MULTIEMO_STORE", str(tmp_path / "empty"))
    main("demo")
    assert result() == disturbed


def test_two_processes_train_as_one_and_only_the_first_writes(
    edit: Edit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit(epochs=0)
    # So many that each step has rows of like length, out of several steps' rows.
    write_corpus(tmp_path, [*conversation("train", 72), *conversation("dev", 9)])
    main("demo")
    # Dropout draws its own numbers in each process.
    dropouts = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    config = RobertaConfig.from_pretrained("data/demo/text_encoder", **dict.fromkeys(dropouts, 0.0))
    RobertaForSequenceClassification(config).save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained("data/demo/text_encoder").save_pretrained(tmp_path / "encoder")
    edit(encoder=tmp_path / "encoder", batch_utterances=8)
    main("demo")
    alone = weights()

    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("MULTIEMO_STORE", str(tmp_path / "empty"))
    monkeypatch.setenv("MULTIEMO_FINETUNE_PROCESSES", "2")
    capfd.readouterr()
    main("demo")
    assert capfd.readouterr().out.count("epoch 2 of 2") == 1
    for name, tensor in weights().items():
        torch.testing.assert_close(tensor, alone[name], atol=1e-5, rtol=1e-4)
    assert list(runtime.checkpoint_root().iterdir()) == []


def test_processes_that_have_other_numbers_of_threads_make_an_encoder_of_their_own(
    edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTIEMO_FINETUNE_PROCESSES", "2")
    monkeypatch.delenv("OMP_NUM_THREADS")  # so that each has its share of the cores
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(finetuning, "prepare", lambda folder, *_: folder.mkdir(exist_ok=True))
    monkeypatch.setattr(torchrun, "run_module", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for workers in ("2", "6", "7"):
        monkeypatch.setenv("MULTIEMO_WORKERS", workers)
        with pytest.raises(KeyboardInterrupt):
            main("demo")
    assert len(list(runtime.checkpoint_root().iterdir())) == 2  # of one thread each, and of three


def test_the_order_of_training_has_like_lengths_and_hangs_on_seed_and_epoch_alone() -> None:
    rows = [{"input_ids": [0] * (1 + i % 17), "label": 0} for i in range(400)]

    def order(seed: int, epoch: int) -> list[int]:
        torch.rand(seed + epoch)  # as dropout draws, in each process otherwise
        sampler = _LikeLengths(rows, 8, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    first = order(0, 0)
    assert sorted(first) == list(range(400))
    assert first == order(0, 0)
    assert first not in (order(0, 1), order(1, 0))
    lengths = np.array([len(rows[place]["input_ids"]) for place in first]).reshape(-1, 8)
    assert lengths.max(axis=1).mean() < 1.15 * lengths.mean()


def test_processes_that_cannot_share_a_batch_are_refused(edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIEMO_FINETUNE_PROCESSES", "3")
    with pytest.raises(UserError, match=r"PROCESSES=3 does not divide corpora\.demo\.finetune\.batch"):
        main("demo")


def test_difficult_text_is_trained_on_and_gives_finite_weights(edit: Edit, tmp_path: Path) -> None:
    rows = [
        Utterance(f"{split}_{i}", split, split, i, "A", LABELS[i % 3], text)
        for split in ("train", "dev")
        for i, text in enumerate(DIFFICULT)
    ]
    write_corpus(tmp_path, rows)
    main("demo")
    assert all(tensor.isfinite().all() for tensor in weights().values())


def test_what_did_not_fit_into_the_windows_is_counted(
    edit: Edit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = conversation("train", 3)
    long = Utterance("train_3", "train", "train", 3, "A", "joy", "word " * 200)
    write_corpus(tmp_path, [*train, long, *conversation("dev", 2)])
    edit(window={"max_tokens": 160})
    main("demo")
    assert "train: 4 windows, 1 with the utterance itself cut, 2 without all" in capsys.readouterr().out


def test_bfloat16_is_another_result_and_finite(edit: Edit) -> None:
    main("demo")
    exact = weights()
    edit(precision="bfloat16")
    main("demo")
    rounded = weights()
    assert all(tensor.isfinite().all() and tensor.dtype == torch.float32 for tensor in rounded.values())
    difference = max(float((rounded[name] - exact[name]).abs().max()) for name in exact)
    assert 0 < difference < 0.1


def test_an_encoder_in_half_precision_is_trained_in_float32(edit: Edit, tmp_path: Path) -> None:
    edit(epochs=0)
    main("demo")
    trained = []
    for folder in save_in_half_precision(Path("data/demo/text_encoder"), tmp_path, torch.float16):
        edit(encoder=folder, epochs=1)
        main("demo")
        trained.append(weights())
    assert all(tensor.dtype == torch.float32 for tensor in trained[0].values())
    for name, tensor in trained[0].items():
        assert torch.equal(tensor, trained[1][name])


def test_a_diverged_training_is_an_error(edit: Edit) -> None:
    edit(learning_rate=1e30, warmup_fraction=0.0)
    with pytest.raises(UserError, match=r"diverged.*lower finetune\.learning_rate"):
        main("demo")
    assert not Path("data/demo/text_encoder").exists()


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_split_without_labels_is_an_error_that_says_what_to_do(
    edit: Edit, tmp_path: Path, split: str
) -> None:
    rows = [*conversation("train", 3), *conversation("dev", 3)]
    write_corpus(tmp_path, [replace(row, label="") if row.split == split else row for row in rows])
    with pytest.raises(UserError, match=rf"no labelled utterance in the {split} split.*set epochs: 0"):
        main("demo")


def test_the_exponent_makes_classes_count_from_as_they_come_to_all_alike() -> None:
    rows = [{"label": label} for label in (0, 0, 0, 0, 0, 0, 1, 1, 2)]
    labels = torch.tensor([row["label"] for row in rows])
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    outputs = SequenceClassifierOutput(logits=logits)
    by_class = torch.stack([losses[labels == label].mean() for label in range(3)])
    torch.testing.assert_close(_WeightedLoss(rows, 0.0)(outputs, labels), losses.mean())
    torch.testing.assert_close(_WeightedLoss(rows, 1.0)(outputs, labels), by_class.mean())
    share = np.sqrt([6, 2, 1])
    expected = (by_class * torch.tensor(share / share.sum(), dtype=torch.float32)).sum()
    torch.testing.assert_close(_WeightedLoss(rows, 0.5)(outputs, labels), expected)


def test_an_encoder_of_another_corpus_is_taken_byte_by_byte_and_keeps_its_name(
    edit: Edit, tmp_path: Path
) -> None:
    main("demo")
    trained = Path("data/demo/text_encoder").replace(tmp_path / "trained")
    rows = [replace(row, label="") for row in conversation("test", 6)]
    write_table(Path("data/demo/utterances.csv"), rows, Utterance)
    write_labels(Path("data/demo/labels.json"), ())
    edit(encoder=trained, epochs=0)
    main("demo")
    taken = Path("data/demo/text_encoder")
    weights = [path.name for path in trained.glob("*.safetensors")]
    assert weights
    for name in (*weights, "config.json", "tokenizer.json"):
        assert (taken / name).read_bytes() == (trained / name).read_bytes()
    words = [
        json.loads((folder / "origin.json").read_text(encoding="utf-8"))["encoder"]
        for folder in (trained, taken)
    ]
    assert words[0] == words[1]
    assert words[0].startswith("UNTRAINED RoBERTa")


def test_an_encoder_from_elsewhere_that_is_not_trained_is_called_so(edit: Edit, tmp_path: Path) -> None:
    edit(epochs=0)
    main("demo")
    given = Path("data/demo/text_encoder").replace(tmp_path / "given")
    (given / "origin.json").unlink()
    edit(encoder=given, epochs=0)
    cached = move_into_cache(Path("data/demo/plots"), tmp_path / "cache")
    main("demo")
    assert {path: path.read_bytes() for path in cached} == cached
    origin = json.loads(Path("data/demo/text_encoder/origin.json").read_text(encoding="utf-8"))
    assert origin == {"encoder": f"roberta from {given}, not fine-tuned"}
    assert Path("data/demo/plots/finetune.csv").read_text().splitlines()[1:] == []


def test_an_encoder_that_was_replaced_since_it_was_pinned_is_not_trained(edit: Edit, tmp_path: Path) -> None:
    edit(epochs=0)
    main("demo")
    given = Path("data/demo/text_encoder").replace(tmp_path / "given")
    edit(encoder=given)
    (given / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"corpora\.demo\.text\.encoder: .*given has changed since .*weights"):
        main("demo")
