"""What other codebases do with their files: the reading parts of their data loaders, in our words.

Each function makes of a file what the peer's model gets, with the operations that the peer applies,
so that a wrong key, order, type or shape fails here as it would there.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch


def load(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)


def multiemo_dialogues(root: Path, corpus: str, train: bool) -> list[tuple[torch.Tensor, ...]]:
    """Text, audio, visual, speakers, mask and labels of each dialogue, as the authors' datasets give them."""
    folder = root / "Data" / corpus
    packed = load(folder / "Speakers.pkl")
    if corpus == "IEMOCAP":
        _, speakers, labels, _, _, _, _, train_keys, test_keys = packed
        train_keys, test_keys = sorted(train_keys), sorted(test_keys)
    else:
        _, speakers, labels, _, _, _, _, train_keys, test_keys, _ = packed
    vectors = [load(folder / f"{name}Features.pkl") for name in ("Text", "Audio", "Visual")]
    found = []
    for key in train_keys if train else test_keys:
        one_hot = (
            [[1, 0] if s == "M" else [0, 1] for s in speakers[key]] if corpus == "IEMOCAP" else speakers[key]
        )
        found.append(
            (
                *(torch.FloatTensor(np.array(modality[key])) for modality in vectors),
                torch.FloatTensor(np.array(one_hot)),
                torch.FloatTensor(np.array([1] * len(labels[key]))),
                torch.LongTensor(np.array(labels[key])),
            )
        )
    return found


def dialoguernn_dialogues(path: Path, train: bool) -> list[tuple[Any, ...]]:
    """Text, visual, audio, speakers, mask, labels and key of each dialogue of IEMOCAP_features.pkl."""
    with path.open("rb") as file:
        _, speakers, labels, text, audio, visual, _, train_keys, test_keys = pickle.load(
            file, encoding="latin1"
        )
    return [
        (
            *(torch.FloatTensor(np.array(modality[key])) for modality in (text, visual, audio)),
            torch.FloatTensor([[1, 0] if speaker == "M" else [0, 1] for speaker in speakers[key]]),
            torch.FloatTensor([1] * len(labels[key])),
            torch.LongTensor(labels[key]),
            key,
        )
        for key in (train_keys if train else test_keys)
    ]


def mmgcn_dialogues(path: Path, train: bool) -> list[tuple[Any, ...]]:
    """The same of MELD_features_raw1.pkl, whose speakers are one-hot vectors."""
    _, speakers, labels, text, audio, visual, _, train_keys, test_keys, _ = load(path)
    return [
        (
            *(torch.FloatTensor(np.array(modality[key])) for modality in (text, visual, audio)),
            torch.FloatTensor(speakers[key]),
            torch.FloatTensor([1] * len(labels[key])),
            torch.LongTensor(labels[key]),
            key,
        )
        for key in (train_keys if train else test_keys)
    ]


def dialoguernn_dialogues_of_meld(path: Path, train: bool) -> list[tuple[Any, ...]]:
    """Text, audio, speakers, mask, labels and key of each dialogue, with seven classes."""
    _, speakers, labels, text, audio, _, train_keys, test_keys, _ = load(path)
    return [
        (
            *(torch.FloatTensor(np.array(modality[key])) for modality in (text, audio)),
            torch.FloatTensor(speakers[key]),
            torch.FloatTensor([1] * len(labels[key])),
            torch.LongTensor(labels[key]),
            key,
        )
        for key in (train_keys if train else test_keys)
    ]


def sdt_dialogues(path: Path, train: bool) -> list[tuple[Any, ...]]:
    """Text, visual, audio, speakers, mask, labels and key of each dialogue of either corpus."""
    iemocap = path.name.startswith("iemocap")
    with path.open("rb") as file:
        packed = pickle.load(file, encoding="latin1")
    if iemocap:
        _, speakers, labels, text, _, _, _, audio, visual, _, train_keys, test_keys = packed
    else:
        _, speakers, labels, text, _, _, _, audio, visual, _, train_keys, test_keys, _ = packed
    one_hot = {"M": [1, 0], "F": [0, 1]}
    return [
        (
            *(torch.FloatTensor(np.array(modality[key])) for modality in (text, visual, audio)),
            torch.FloatTensor([one_hot[each] for each in speakers[key]] if iemocap else speakers[key]),
            torch.FloatTensor([1] * len(labels[key])),
            torch.LongTensor(labels[key]),
            key,
        )
        for key in (train_keys if train else test_keys)
    ]


def validated_on(training: list[tuple[Any, ...]], share: float) -> list[Any]:
    """Keys of the dialogues that all of these validate on: a share of the first, unshuffled."""
    return [dialogue[-1] for dialogue in training[: int(share * len(training))]]


def mmsa_samples(path: Path, mode: str) -> list[dict[str, Any]]:
    """The samples of a mode with ``use_bert`` off and unaligned data."""
    part = load(path)[mode]
    arrays = {name: part[name].astype(np.float32) for name in ("text", "vision", "audio")}
    arrays["audio"][arrays["audio"] == -np.inf] = 0
    labels = np.array(part["regression_labels"]).astype(np.float32)
    return [
        {
            "raw_text": part["raw_text"][index],
            "id": part["id"][index],
            "labels": torch.Tensor(labels[index].reshape(-1)),
            "audio_lengths": part["audio_lengths"][index],
            "vision_lengths": part["vision_lengths"][index],
            **{name: torch.Tensor(array[index]) for name, array in arrays.items()},
        }
        for index in range(len(labels))
    ]


def merbench_samples(root: Path, labels: str, corpus: str) -> dict[str, dict[str, Any]]:
    """Vectors and class of each utterance of a corpus in ``label.npz``, at utterance level."""
    table = np.load(root / labels, allow_pickle=True)[corpus].tolist()
    samples = {}
    for name, label in table.items():
        vectors = {}
        for modality in ("text", "audio", "visual"):
            vector = np.array(
                [np.load(root / "features" / f"{modality}-UTT" / f"{name}.npy").squeeze()]
            ).squeeze()
            vectors[modality] = np.mean(vector[np.newaxis, :], axis=0)
        emotion = torch.LongTensor([label["emo"]])
        samples[name] = {**vectors, "emo": int(emotion), "val": float(torch.FloatTensor([label["val"]]))}
    return samples
