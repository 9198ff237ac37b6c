"""``multiemo analyse``: which model and corpus are meant, and the params by which a film is extracted."""

from __future__ import annotations

import argparse
import errno
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ruamel.yaml import YAML

import stages.manifest
from pipeline.console.__main__ import main
from pipeline.console.shared.example import find_example
from pipeline.encoders.alike import entry_like
from pipeline.errors import UserError
from pipeline.manifest import Medium, write_table
from pipeline.params import CorpusParams
from pipeline.store.code import PROJECT
from pipeline.store.written import note_written
from stages.console import analyse

DEMO = YAML(typ="safe").load(PROJECT / "params.yaml")
CORPUS = CorpusParams.model_validate(DEMO["corpora"]["demo"])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, which is also the current one."""
    demo = DEMO["models"]["demo"]
    models = {
        "demo": demo,
        "first": {"features": "./data/talks/features.h5"},
        "second": {"features": str(tmp_path / "lab/data/talks/features.h5")},
        "only": {"features": "data/lonely/features.h5"},
        "far": {"features": "/lab/other.h5"},
    }
    corpora = dict.fromkeys(("demo", "talks", "lonely", "new"), DEMO["corpora"]["demo"])
    (tmp_path / "lab/data/models/demo/model").mkdir(parents=True)
    YAML(typ="safe").dump({"corpora": corpora, "models": models}, tmp_path / "lab/params.yaml")
    monkeypatch.chdir(tmp_path / "lab")
    return tmp_path / "lab"


def test_a_model_is_named_by_its_entry_its_folder_or_the_corpus_that_has_no_other(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("data/models/demo/model")
    for like in ("demo", f"{folder}/", str(folder.parent), str(folder.absolute())):
        example = find_example(like)
        assert (example.name, example.corpus_name, example.folder) == ("demo", "demo", folder)
    for like, name, corpus in (("first", "first", "talks"), ("second", "second", "talks")):
        assert find_example(like)[1:3] == (name, corpus)
    assert find_example("lonely")[1:3] == ("only", "lonely")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for like in ("../lab/data/models/demo", str(project / "data/models/demo/model")):
        example = find_example(like)
        assert (example.name, example.corpus_name) == ("demo", "demo")
        assert example.folder.resolve() == project / folder
    with pytest.raises(UserError, match=r"^--like demo: there is no params\.yaml here; run in the project"):
        find_example("demo")


@pytest.mark.parametrize(
    ("like", "said"),
    [
        ("dmo", r"--like dmo: is no entry under models .* \(did you mean 'demo'\? there are: demo, far, "),
        ("data/models/dmo/model", r"dmo/model: is no entry under models .* \(did you mean 'demo'\?"),
        ("data/models/demo/modle", r"demo/modle: is no folder of a model"),
        ("data/demo", r"--like data/demo: is no folder of a model, which is <project>/data/models/<model>"),
        ("talks", r"--like talks: is a corpus of several models; name one of first, second$"),
        ("new", r"--like new: is a corpus whose features no model in params\.yaml was trained on$"),
        ("far", r"models\.far\.features: /lab/other\.h5 is of no entry under corpora"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_names_no_one_model_is_told_with_those_that_there_are(like: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_example(like)


def test_a_film_is_extracted_as_the_models_corpus_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = tmp_path / "data/demo/text_encoder"
    with pytest.raises(UserError, match=r"text_encoder: no such folder; dvc repro finetune@demo makes it"):
        entry_like("demo", CORPUS, ["text"], tmp_path)
    encoder.mkdir(parents=True)
    (encoder / "config.json").write_text("{}")
    (encoder / "model.safetensors").write_bytes(b"weights")
    entry = entry_like("demo", CORPUS, ["text", "visual"], tmp_path / "corpus")
    params = CorpusParams.model_validate(entry)
    assert params.modalities == ("text", "visual")
    assert params.finetune.epochs == 0
    assert params.text.encoder is not None
    assert params.text.encoder.model_dump()["weights"] == str(encoder)
    assert len(params.text.encoder.model_dump()["sha256"]) == 64
    for same in ("faces", "visual", "window"):
        assert getattr(params, same) == getattr(CORPUS, same)


def test_a_film_that_is_no_recording_stops_a_model_that_is_to_see_or_hear_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    what = "cannot be opened"
    unread = Medium("a_1", "a", "film.vtt", image_problem=what, audio_problem=what)
    write_table(Path("data/film/media.csv"), [unread], Medium)
    both, words = (SimpleNamespace(card=SimpleNamespace(dims=dims)) for dims in (["text", "audio"], ["text"]))
    analyse.check_film(Path("talk.vtt"), words)
    with pytest.raises(UserError, match=r"^talk\.vtt: cannot be opened; a model of text alone"):
        analyse.check_film(Path("talk.vtt"), both)
    write_table(Path("data/film/media.csv"), [replace(unread, audio_problem="")], Medium)
    analyse.check_film(Path("talk.vtt"), both)


def test_what_is_not_there_is_said_before_any_work(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n")
    arguments = ["analyse", "a.mp4", "--transcript", "a.vtt", "--like", "demo", "-o", "out"]
    assert main(arguments) == 1
    assert "a.mp4: no such film" in capsys.readouterr().err
    (tmp_path / "a.mp4").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").touch()
    assert main(arguments) == 1
    assert "out: is not an empty folder, nor one of an analysis" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    (tmp_path / "file").touch()
    assert main([*arguments[:-1], "file"]) == 1
    assert "file: is not an empty folder" in capsys.readouterr().err
    assert main([*arguments[:-1], "."]) == 1
    assert "a.vtt: lies in ., where results are replaced" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.eaf", "a.TextGrid", "a.vtt", "predictions.csv", "page.html"])
def test_a_result_that_was_mended_by_hand_is_not_replaced(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").touch()
    Path("out/work").mkdir(parents=True)
    result = Path("out", name)
    result.write_text("as it was written")
    note_written(Path("out", analyse.WORK, analyse.WRITTEN), result)
    arguments = ["analyse", "a.mp4", "--transcript", "a.vtt", "--like", "demo", "-o", "out"]
    assert main(arguments) == 1
    assert "--like demo: there is no params.yaml here" in capsys.readouterr().err  # so far it came
    result.write_text("mended")
    assert main(arguments) == 1
    assert f"out/{name}: was changed by hand" in capsys.readouterr().err
    assert result.read_text() == "mended"


@pytest.mark.parametrize(
    ("trouble", "status", "said"),
    [
        (UserError("no clip"), 1, "multiemo: error: manifest: no clip\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "media.csv"), 1,
            "multiemo: error: manifest: media.csv: No space left on device; free space, or mend",
        ),
        (signal.SIGINT, 130, "\nmanifest: stopped; the same command goes on from what is kept\n"),
        (signal.SIGTERM, 130, "\nmanifest: stopped; the same command goes on from what is kept\n"),
    ],
)  # fmt: skip
def test_what_stops_a_stage_is_one_line_that_names_it(
    trouble: Exception | signal.Signals, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def stop(corpus: str) -> None:
        if isinstance(trouble, Exception):
            raise trouble
        signal.raise_signal(trouble)

    def run(arguments: argparse.Namespace) -> int:
        analyse._run_stage("manifest")
        return 0

    monkeypatch.setattr(stages.manifest, "main", stop)
    monkeypatch.setattr(analyse, "_run", run)
    assert main(["analyse", "a.mp4", "--transcript", "a.vtt", "--like", "demo", "-o", "out"]) == status
    assert capsys.readouterr().err.startswith(said)
