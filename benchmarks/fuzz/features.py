"""Feature files: damaged bytes, and files made on purpose that contradict themselves.

Whatever reads one must do its work or refuse in one line, read nothing else on the machine, and take what
``multiemo verify`` calls sound; and that is never what was damaged or breaks a rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pyarrow.parquet  # noqa: F401 - what takes long to import is no input's time
import sklearn.decomposition  # noqa: F401

import train.prediction  # noqa: F401
from benchmarks.fuzz.byte_damage import damage
from benchmarks.fuzz.trying import run_command
from pipeline.errors import UserError
from pipeline.features.file import read_features, write_features
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import MODALITIES, Kind, ModelParams
from pipeline.store.h5 import CONTENT_SHA256, DamagedFileError, content_digest, read_h5
from pipeline.store.opening.file import open_h5
from pipeline.store.seal import append_seal, find_seal
from tests import small_features
from tests.train.saved_model import described, save_small_model
from tests.train.small import NETWORK
from train.data import Dialogues
from train.loop import TrainingStoppedError, train_seed

SECRET = b"QZX, which stands in another file of this machine"
PARAMS = ModelParams(
    features="features.h5", modalities=MODALITIES, network=Kind.model_validate(NETWORK), epochs=1
)
EXPORTS = ("mmgcn", "merbench", "mmsa", "sdt", "parquet")
TEXT = h5py.string_dtype()

Spoil = Callable[[Random, h5py.File], bool]
"""Changes an open file; returns whether it is wrong for certain afterwards."""


@cache
def _bases() -> dict[str, bytes]:
    """The same features as our file, and as other software would write them."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "ours.h5")
        write_features(path, described(small_features.meld()))
        ours = path.read_bytes()
        with path.open("rb") as file:
            seal = find_seal(file.fileno())
        assert seal is not None
        bases = {"ours": ours, "unsealed": ours[: seal.length]}
        for name, version, options in (("gzip", None, {"compression": "gzip"}), ("latest", "latest", {})):
            with h5py.File(path) as source, h5py.File(Path(folder, name), "w", libver=version) as copy:
                _copy(source, copy, options)
            bases[name] = Path(folder, name).read_bytes()
    return bases


def _copy(source: h5py.File, copy: h5py.File, options: dict[str, str]) -> None:
    copy.attrs.update(source.attrs)
    for name in _names(source):
        copy.create_dataset(name, data=source[name][()], dtype=source[name].dtype, **options)


def _names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
    return found


def make(random: Random, folder: Path) -> None:
    """Write features.h5, and beside it ``wrong`` if nobody may call it sound."""
    (folder / "secret").write_bytes(SECRET)
    path = folder / "features.h5"
    base = random.choice(list(_bases().values()))
    if random.random() < 0.5:
        path.write_bytes(damage(random, base))
        (folder / "damaged").touch()
        return
    path.write_bytes(base)
    with h5py.File(path, "a") as file:
        wrong = [random.choice(SPOILS)(random, file) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    if random.random() < 0.7:
        _give_digest(path)
    if random.random() < 0.5:
        with path.open("rb+", buffering=0) as raw:
            append_seal(raw)
    if any(wrong):
        (folder / "wrong").touch()


def _give_digest(path: Path) -> None:
    """The digest of the content that the file has now, if it can be read."""
    try:
        with open_h5(path) as file:
            digest = content_digest({name: file.read(name) for name in file.arrays}, file.attrs)
    except (DamagedFileError, AttributeError, UnicodeEncodeError):
        return
    with h5py.File(path, "a") as file:
        file.attrs[CONTENT_SHA256] = digest


def _delete(random: Random, file: h5py.File) -> bool:
    name = random.choice([*_names(file), *file])
    del file[name]
    return name == "utterances" or "/" in name  # a file may have fewer modalities


def _replace(random: Random, file: h5py.File) -> bool:
    """Another type or shape, with values as they may come."""
    name = random.choice([*_names(file), "notes", "audio/notes", "audio/feature_name"])
    old = (file[name].dtype, file[name].shape) if name in file else None
    rows = random.choice((0, 1, 13, 14, 14, 14, 15))
    shape = random.choice(((), (rows,), (rows,), (rows, 1), (rows, 2), (rows, 30), (1,) * 8, (rows, 0)))
    dtype = np.dtype(random.choice(("i1", "i8", "u8", "f2", "f4", "f8", ">f4", "?", "c8", "S5", "i4,f4")))
    values = np.random.default_rng(random.getrandbits(32))
    if random.random() < 0.3:
        dtype = TEXT
        content: object = np.full(shape, random.choice(ODD_TEXTS), object)
    elif dtype.names:
        content = np.zeros(shape, dtype)
    else:
        content = values.integers(0, 3, shape).astype(dtype)
    if name in file:
        del file[name]
    file.create_dataset(name, data=content, dtype=dtype)
    return old is None or old[1] != shape or old[0].kind != dtype.kind


def _number(random: Random, file: h5py.File) -> bool:
    numbers = [name for name in _names(file) if file[name].dtype.kind in "if" and file[name].size]
    if not numbers:
        return False
    array = file[random.choice(numbers)]
    value = random.choice(
        (np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-45)
        if array.dtype.kind == "f"
        else (-1, -2, 0, 7, 2**62, -(2**63))
    )
    place = tuple(random.randrange(size) for size in array.shape)
    array[random.choice((place, ...))] = value
    return array.name.endswith("/features") and not np.isfinite(value)


def _text(random: Random, file: h5py.File) -> bool:
    texts = [name for name in _names(file) if h5py.check_string_dtype(file[name].dtype) and file[name].size]
    if texts:
        array = file[random.choice(texts)]
        place = tuple(random.randrange(size) for size in array.shape)
        array[random.choice((place, ...))] = random.choice(ODD_TEXTS)
    return False


def _attribute(random: Random, file: h5py.File) -> bool:
    name = random.choice(
        ("labels", "labels", "provenance", "provenance", "corpus", "schema", CONTENT_SHA256, "x")
    )
    value = random.choice(
        (*ODD_TEXTS, *ODD_JSON, 5, -1, 2.0, np.float64("nan"), [1, 2], np.bytes_(b"\xff"), None)
    )
    if name in file.attrs and (value is None or random.random() < 0.1):
        del file.attrs[name]
        return name != CONTENT_SHA256  # a right one may be given again
    file.attrs[name] = h5py.Empty("f4") if value is None else value
    return name != CONTENT_SHA256 and (isinstance(value, list) or value is None)


def _provenance(random: Random, file: h5py.File) -> bool:
    """Something else at a random place of the JSON."""
    try:
        provenance = json.loads(file.attrs["provenance"])
        node = provenance
        while isinstance(node, dict) and node:
            key = random.choice(list(node))
            if random.random() < 0.4 or not isinstance(node[key], dict):
                node[key] = json.loads(random.choice(ODD_JSON[:8]))
                break
            node = node[key]
        file.attrs["provenance"] = json.dumps(provenance)
    except (KeyError, ValueError, TypeError, RecursionError):
        return False
    return False


def _labels(random: Random, file: h5py.File) -> bool:
    names = ["neutral", "surprise", "fear", "sadness", "joy", "disgust", random.choice((*ODD_TEXTS, "joy"))]
    file.attrs["labels"] = json.dumps(names)
    return names[-1] in ("joy", "")


def _leads_elsewhere(random: Random, file: h5py.File) -> bool:
    name = random.choice([*_names(file), "audio/notes"])
    secret = str(Path(file.filename).parent / "secret")
    if name in file:
        del file[name]
    kind = random.choice(("soft", "external", "storage", "virtual"))
    if kind == "soft":
        file[name] = h5py.SoftLink(random.choice(("/text/features", "/nowhere", f"/{name}")))
    elif kind == "external":
        file[name] = h5py.ExternalLink(secret, "/")
    elif kind == "storage":
        file.create_dataset(name, (14,), "S3", external=[(random.choice((secret, "secret")), 0, 42)])
    else:
        layout = h5py.VirtualLayout((14, 2), "f4")
        layout[:] = h5py.VirtualSource(secret, "x", (14, 2))
        file.create_virtual_dataset(name, layout)
    return True


def _bomb(random: Random, file: h5py.File) -> bool:
    name = random.choice(_names(file) or ["audio/features"])
    many = random.choice((1 << 31, 1 << 40, 1 << 59))
    if name in file:
        del file[name]
    options = random.choice(
        ({}, {"chunks": True}, {"chunks": True, "compression": "gzip"}, {"maxshape": (None,)})
    )
    file.create_dataset(name, (many,), random.choice(("f4", "S1", "i8", TEXT)), **options)
    return True


def _circle(random: Random, file: h5py.File) -> bool:
    name = f"{random.choice(list(file))}/again" if len(file) else "again"
    if name not in file:
        file[name] = file[random.choice(["/", *file])]
    return True


def _shuffle(random: Random, file: h5py.File) -> bool:
    arrays = [name for name in _names(file) if file[name].shape and file[name].shape[0] > 1]
    for name in random.sample(arrays, min(len(arrays), random.choice((1, 1, 2, 4)))):
        order = list(range(file[name].shape[0]))
        random.shuffle(order)
        file[name][:] = file[name][:][order]
    return False


SPOILS: tuple[Spoil, ...] = (
    *(_delete, _replace, _replace, _replace, _number, _number, _text, _text, _attribute, _attribute),
    *(_provenance, _provenance, _labels, _leads_elsewhere, _bomb, _circle, _shuffle),
)
ODD_JSON = (
    *("5", "null", "[]", "{}", '"text"', "[[]]", '{"a": {"b": []}}', "1e999", "NaN", "9" * 5000, "[" * 3000),
    *('{"encoders": {"audio": 5}}', '{"sources": {"audio": {"settings": [1]}}}', '["a", "a"]', "[1, 2]"),
    *('["\\ud800"]', '{"a": ' * 100 + "1" + "}" * 100),
    *('["' + "x" * 100_000 + '"]', '{"encoders": {"x": "\\u0000"}}'),
)
ODD_TEXTS = (
    *("", "x" * 100_000, "../../outside", "/etc/passwd"),
    *("a/b", "a\nb", "\x1b[2J", "nan", "joy", "😀", "e\u0301"),
    *("train", "test", "train_dia0", "\u202e", "a" * 300, ".", "=1+1", "\u200b"),
)


def attempt(folder: Path) -> str:
    """``read`` or ``refused``."""
    path, model = folder / "features.h5", folder.parent / "model"
    if not model.exists():
        save_small_model(model, small_features.meld(), PARAMS)
    sound = _run(["verify", str(path)])[0] == 0
    commands = [["inspect", str(path)], ["inspect", "--json", str(path)]]
    commands.append(["predict", str(path), "--model", str(model), "-o", str(folder / "predictions.csv")])
    commands += [
        ["export", str(path), "--to", name, "-o", str(folder / name)]
        for name in (EXPORTS if sound else EXPORTS[:1])
    ]
    for command in commands:
        _, said = _run(command)
        assert not (sound and "feature file" in said), f"verify calls it sound, and {command}: {said}"
    outside = {each.name for each in folder.iterdir()} - {"secret", "features.h5", "wrong", "damaged"}
    assert outside <= {"predictions.csv", *EXPORTS}, outside
    _train(path, sound)
    assert not sound or not (folder / "wrong").exists(), "what is wrong is called sound"
    if sound and (folder / "damaged").exists():
        _check_untouched(path)
    return "read" if sound else "refused"


def _run(command: list[str]) -> tuple[int, str]:
    """Exit status and what was said of an error; nothing of another file may be in it."""
    status, output, said = run_command(command)
    assert status in (0, 1), f"{command}: status {status}"
    assert len(said) < 5000, f"{command}: says {len(said)} characters"
    assert command[0] == "verify" or not status or said.count("\n") == 1, f"{command}: {said}"
    written = command[-1] if command[0] == "predict" and not status else ""
    for text in (output, said, Path(written).read_text(encoding="utf-8") if written else ""):
        assert SECRET.decode()[:5] not in text, f"{command} reads another file"
    return status, said


def _train(path: Path, sound: bool) -> None:
    """An epoch, if the file can be read."""
    try:
        features = read_features(path, MODALITIES)
        dialogues = Dialogues.from_features(features, fit_standardisation(features, MODALITIES))
        train_seed(dialogues, PARAMS, 0)
    except TrainingStoppedError:
        pass
    except UserError as error:
        if sound and "feature file" in str(error):
            raise AssertionError("verify calls it sound, and training does not") from error


def _check_untouched(path: Path) -> None:
    """Damage that is found nowhere has changed nothing that the file says."""
    found, expected = read_h5(path), _content()
    assert found[1] == expected[1]
    assert found[0].keys() == expected[0].keys()
    for name, array in expected[0].items():
        assert np.array_equal(found[0][name], array, equal_nan=array.dtype.kind == "f"), name


@cache
def _content() -> tuple[dict[str, np.ndarray], dict[str, object]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "ours.h5")
        path.write_bytes(_bases()["ours"])
        return read_h5(path)
