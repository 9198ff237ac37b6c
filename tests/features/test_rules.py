"""A feature file that breaks a rule is refused in one line by all that read it, and is never called sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.console.__main__ import main
from pipeline.features.file import write_features
from pipeline.store.h5 import CONTENT_SHA256, content_digest
from pipeline.store.opening.file import open_h5
from tests import small_features

Spoil = Callable[[h5py.File], object]


def put(name: str, content: object, dtype: object = None) -> Spoil:
    """Another array in the place of one, or in place of none."""

    def spoil(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, data=content, dtype=dtype)

    return spoil


def change(name: str, row: object, value: object) -> Spoil:
    """Another value in a row of an array."""
    return lambda file: file[name].__setitem__(row, value)


def say(name: str, value: object) -> Spoil:
    """Another attribute."""
    return lambda file: file.attrs.__setitem__(name, value)


def provenance(**changes: object) -> Spoil:
    """Other words on how the features were made."""
    return lambda file: say("provenance", json.dumps(json.loads(file.attrs["provenance"]) | changes))(file)


TEXT = h5py.string_dtype()
N = 14
BROKEN: list[tuple[Spoil, str]] = [
    (change("utterances/label", 4, 7), "labels outside the label names"),
    (change("utterances/label", 4, -2), "labels outside the label names"),
    (put("utterances/label", np.full(N, 2**64 - 1, np.uint64)), "utterances/label is uint64, not int64"),
    (put("utterances/label", np.zeros(N)), "utterances/label is float64, not int64"),
    (put("utterances/label", ["joy"] * N), "utterances/label is text, not int64"),
    (change("utterances/id", 4, "train_dia0_utt0"), "utterance ids repeat"),
    (put("utterances/id", np.arange(N)), "utterances/id is int64, not text"),
    (put("utterances/text", [["a", "b"]] * N, TEXT), "utterances/text has the shape [14, 2], not [N = 14]"),
    (put("utterances/text", "a"), "utterances/text has the shape [], not [N = 14]"),
    (put("utterances/start_s", np.arange(N) + 5.0), "start_s and end_s are no span of seconds"),
    (lambda f: [put("utterances/start_s", np.full(N, 5.0))(f), put("utterances/end_s", np.full(N, 4.0))(f)],
     "are no span of seconds: train_dia0_utt0, train_dia0_utt1, train_dia0_utt2 and 11 more"),
    (change("utterances/position", 1, 5), "positions do not count"),
    (change("utterances/split", 0, "dev"), "a dialogue lies in several splits"),
    (change("utterances/split", 13, "val"), "splits other than train, dev, test"),
    (put("notes", [1, 2]), "notes is not part of the format"),
    (put("audio/notes", [1, 2]), "audio/notes is not part of the format"),
    (lambda f: f.move("audio", "audio of 2024"), "'audio of 2024' is no name of a modality"),
    (lambda f: f.__delitem__("utterances/speaker"), "utterances/speaker is missing"),
    (lambda f: f.__delitem__("audio/minimum"), "audio/minimum is missing"),
    (lambda f: [f.__delitem__(name) for name in ("audio", "text", "visual")], "it holds no modality"),
    (change("audio/features", (2, 3), np.nan), "features are not all finite"),
    (change("audio/features", (2, 3), 5), "rows that are not what was written: train_dia0_utt2"),
    (change("audio/features", 3, 1), "features are not zero where the modality was not observed"),
    (change("audio/observed", 3, True), "a reason must stand exactly where"),
    (put("audio/features", np.zeros((N, 30))), "audio/features is float64, not float32"),
    (put("audio/features", np.zeros((N, 3, 10), "f4")), "audio/features has the shape [14, 3, 10], not [N ="),
    (put("audio/features", np.zeros((N, 0), "f4")), "audio/minimum has the shape [30], not [D = 0]"),
    (put("audio/observed", np.ones(N, "u1")), "audio/observed is uint8, not bool"),
    (put("audio/minimum", np.zeros(29, "f4")), "audio/minimum has the shape [29], not [D = 30]"),
    (put("audio/feature_name", ["a"] * 7, TEXT), "audio/feature_name has the shape [7], not [D = 30]"),
    (lambda f: [put(name, f[name][:0], f[name].dtype)(f) for name in rows(f)], "there are no utterances"),
    (lambda f: f.attrs.__delitem__("corpus"), "corpus is missing"),
    (say("corpus", 5), "corpus is no name"),
    (say("labels", "[0, 1, 2, 3, 4, 5, 6]"), "labels has other than names"),
    (say("labels", '["a", "b", "c", "d", "e", "f", "a"]'), "labels has a more than once"),
    (say("labels", '["\\ud83d", "b", "c", "d", "e", "f", "g"]'), "labels holds half a surrogate pair"),
    (say("labels", '{"a": 1}'), "labels is no JSON list"),
    (say("labels", "joy"), "labels is not JSON"),
    (say("labels", 7), "labels is not JSON"),
    (say("labels", "[" * 100_000), "labels is not JSON"),
    (say("labels", "9" * 5000), "labels is not JSON"),
    (say("provenance", "[]"), "provenance is no JSON object"),
    (say("provenance", '{"a": ' + "[" * 500 + "]" * 500 + "}"), "provenance is nested too deep"),
    (provenance(encoders=["text"]), "provenance: encoders is no JSON object"),
    (provenance(encoders={"text": {}}), "provenance: encoders holds other than text"),
    (provenance(sources={"audio": 5}), "provenance: sources.audio is no JSON object"),
    (provenance(sources={"audio": {"settings": 5}}), "provenance: sources.audio.settings is no JSON object"),
    (provenance(sources={"visual": {"faces": "MTCNN"}}), "sources.visual.faces is no JSON object"),
    (provenance(sources={"visual": {"faces": {"settings": 5}}}), "visual.faces.settings is no JSON object"),
    (provenance(sources={"audio": {"versions": {"a": 1}}}), "provenance: sources.audio.versions holds other"),
    (provenance(sources={"audio": {"settings": {"weights": {"a": 1}}}}), "settings.weights holds other than"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A feature file."""
    path = tmp_path_factory.mktemp("sound") / "features.h5"
    write_features(path, small_features.meld())
    return path.read_bytes()


@pytest.fixture
def path(sound: bytes, tmp_path: Path) -> Path:
    """A copy of it."""
    (tmp_path / "features.h5").write_bytes(sound)
    return tmp_path / "features.h5"


def rows(file: h5py.File) -> list[str]:
    """Names of the arrays that have a row for each utterance."""
    names = [f"utterances/{name}" for name in file["utterances"]]
    parts = ("features", "observed", "reason", "digest")
    return names + [f"{each}/{name}" for each in ("audio", "text", "visual") for name in parts]


def reseal(path: Path) -> None:
    """The digest that belongs to the content, as whoever makes such a file on purpose would give it."""
    with open_h5(path) as file:
        digest = content_digest({name: file.read(name) for name in file.arrays}, file.attrs)
    with h5py.File(path, "a") as file:
        file.attrs[CONTENT_SHA256] = digest


@pytest.mark.parametrize(("spoil", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_what_breaks_a_rule_is_refused_in_one_line(path: Path, spoil: Spoil, problem: str, capsys) -> None:
    with h5py.File(path, "a") as file:
        spoil(file)
    reseal(path)
    assert main(["verify", str(path)]) == 1
    assert problem in capsys.readouterr().out
    assert main(["export", str(path), "--to", "mmgcn", "-o", str(path.parent / "out")]) == 1
    said = capsys.readouterr().err
    assert problem in said
    assert said.startswith(f"multiemo: error: {path}: not a sound feature file: ")
    assert said.count("\n") == 1
    assert not (path.parent / "out").exists()
    main(["inspect", str(path)])
    assert capsys.readouterr().err.count("\n") <= 1


def test_numbers_of_fewer_bits_are_read_as_what_they_are(path: Path, capsys) -> None:
    with h5py.File(path, "a") as file:
        put("utterances/label", file["utterances/label"][:].astype("i1"))(file)
        put("utterances/start_s", file["utterances/start_s"][:].astype("f4"))(file)
        text = [each.encode() for each in file["utterances/text"].asstr()[:]]
        put("utterances/text", np.array(text))(file)
    reseal(path)
    assert main(["verify", str(path)]) == 0
    assert "(unknown: other software wrote it, or changed it since)" in capsys.readouterr().out
    assert main(["export", str(path), "--to", "mmgcn", "-o", str(path.parent / "out")]) == 0
