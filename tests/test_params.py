from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from pipeline.errors import UserError
from pipeline.params import FacesParams, read_params

PROJECT = Path(__file__).parent.parent
PARAMS = (PROJECT / "params.yaml").read_text(encoding="utf-8")


def uncommented() -> str:
    """params.yaml with all entries that it holds as examples."""
    entry = r"^  # (meld|iemocap)(\w*:)"
    text = re.sub(r"^  #   ", "    ", PARAMS, flags=re.MULTILINE)
    return re.sub(entry, r"  \1\2", text, flags=re.MULTILINE)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(UserError) as raised:
        read_params(write(tmp_path, text))
    return str(raised.value).replace(str(tmp_path), "")


def test_the_projects_own_params_are_sound() -> None:
    params = read_params(PROJECT / "params.yaml")
    assert list(params.corpora) == list(params.models) == ["demo"]


def test_the_examples_in_params_yaml_are_sound(tmp_path: Path) -> None:
    text = uncommented()
    # The example of IEMOCAP shows only how it differs from that of MELD.
    meld, rest = re.search(r"\n  meld:\n((?:    .*\n)+)", text), r"\n  iemocap: .*\n(?:    .*\n)+"
    assert meld is not None
    iemocap = re.sub("format: meld", "format: iemocap", meld[0].replace("  meld:", "  iemocap:"))
    params = read_params(write(tmp_path, re.sub(rest, lambda _: iemocap, text)))
    assert list(params.corpora) == ["meld", "iemocap", "demo"]
    assert list(params.models) == [
        "meld",
        "meld_text",
        "meld_without_multiattn",
        "meld_authors",
        "iemocap",
        "demo",
    ]


def test_keys_that_are_not_given_have_the_papers_settings(tmp_path: Path) -> None:
    params = read_params(write(tmp_path, "models:\n  colleague: {features: /lab/shared/other.h5}\n"))
    model = params.model("colleague")
    assert (params.corpora, model.modalities, model.network.kind) == ({}, None, "multiemo")
    assert (model.epochs, model.learning_rate, model.adam_betas) == (100, 1e-4, (0.9, 0.99))
    # A block of a corpus that is {} has the defaults as well.
    demo = read_params(write(tmp_path, PARAMS.replace("faces: {min_face_size_px: 60}", "faces: {}")))
    assert demo.corpus("demo").faces == FacesParams()


def values(node: Any, place: str = "") -> dict[str, Any]:
    """Full key -> value of everything that is no mapping."""
    if not isinstance(node, dict):
        return {place: node}
    return {key: value for name in node for key, value in values(node[name], f"{place}.{name}").items()}


def test_an_experiment_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, PARAMS)
    before = values(YAML(typ="safe").load(path))
    changes = {
        "models.demo.learning_rate": 0.125,
        "models.demo.network.layers": 3,
        "corpora.demo.finetune.epochs": 4,
    }
    added = {"models.demo.l2": 0.25, "models.demo.network.loss.temperature": 0.5}  # + what is not written
    # All at once, because DVC takes its time.
    settings = [f"{key}={value}" for key, value in changes.items()]
    apply_overrides(path, [*settings, *(f"+{key}={value}" for key, value in added.items())])
    after = values(YAML(typ="safe").load(path))
    assert after == before | {f".{key}": value for key, value in (changes | added).items()}
    assert read_params(path).model("demo").l2 == 0.25


MISTAKES = {
    "    faces: {min_face_size_px: 60} -> faces: {min_face_size: 60}": (
        "corpora.demo.faces.min_face_size: unknown key (did you mean 'min_face_size_px'?)"
    ),
    "      crop_size_px: 96 -> crop_size_px: big": (
        "corpora.demo.visual.crop_size_px: input should be a valid integer (it is 'big')"
    ),
    "      crop_size_px: 96 -> crop_size_px: -1": (
        "corpora.demo.visual.crop_size_px: input should be greater than or equal to 32 (it is -1)"
    ),
    "      encoder: {kind: opensmile} -> silence_dbfs: -60.0": (
        "corpora.demo: audio.encoder is missing, and modalities has audio"
    ),
    "      encoder: {kind: opensmile} -> encoder: {}": "corpora.demo.audio.encoder.kind: missing",
    "    report: {} -> # none": "corpora.demo.report: missing",
    "    format: meld -> format: Meld": "corpora.demo.format.kind: string should match pattern",
    "    modalities: [text, audio, visual] -> modalities: [text, text]": (
        "corpora.demo.modalities: must not name anything twice"
    ),
    "    features: data/demo/features.h5 -> modalities: [text]": "models.demo.features: missing",
    "    epochs: 20 -> epoch: 30": "models.demo.epoch: unknown key (did you mean 'epochs'?)",
    "    epochs: 20 -> epochs: 0": "models.demo.epochs: input should be greater than or equal to 1 (it is 0)",
    "    epochs: 20 -> adam_betas: [0.9, 1]": "models.demo.adam_betas.1: input should be less than 1",
    "    seeds: [0, 1, 2] -> seeds: [0, 0]": "models.demo.seeds: must not name anything twice",
    "    epochs: 20 -> l2: .inf": "models.demo.l2: input should be a finite number",
    "  demo:\n    format -> my corpus:\n    format": "corpora.my corpus: string should match pattern",
    "  demo:\n    format -> models:\n    format": "corpora.models: data/models is not a corpus's",
    "  demo:\n    features -> results:\n    features": "models.results: data/models/results is not a model's",
    "    root: data/raw/demo -> root: data/demo": (
        "corpora.demo.root: data/demo holds data/demo, where results go; name the entry otherwise"
    ),
    "    root: data/raw/demo -> root: data/raw/..": "corpora.demo.root: data/raw/.. holds data/demo",
    "    root: data/raw/demo -> root: ~/recordings": (
        f"corpora.demo.root: ~ is no home folder to DVC; write {Path.home()}/recordings (it is"
    ),
    "    features: data/demo/features.h5 -> features: ~/f.h5": "models.demo.features: ~ is no home",
    "demo: # -> demmo: #": "demmo: unknown key (did you mean 'demo'?)",
    "demo: # -> demo: [": "not valid YAML",
}


@pytest.mark.parametrize("edit", MISTAKES)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, edit: str) -> None:
    old, new = edit.split(" -> ")
    indent = old[: len(old) - len(old.lstrip())]
    assert f"\n{old}" in PARAMS
    message = complaint(tmp_path, PARAMS.replace(f"\n{old}", f"\n{indent}{new}", 1))
    assert MISTAKES[edit] in message
    assert message.startswith("/params.yaml: ")


def test_who_is_who_needs_the_speaker(tmp_path: Path) -> None:
    where = "      crop_size_px: 96\n"
    assert complaint(tmp_path, PARAMS.replace(where, where + "      who_is_who: true\n")) == (
        "/params.yaml: corpora.demo: visual.who_is_who needs visual.pooling: speaker"
    )


def test_a_model_that_asks_for_what_its_corpus_does_not_extract_is_named(tmp_path: Path) -> None:
    text = PARAMS.replace("modalities: [text, audio, visual]", "modalities: [text]")
    asking = text.replace("    epochs: 20", "    modalities: [text, audio]")
    assert complaint(tmp_path, asking) == (
        "/params.yaml: models.demo.modalities: asks for audio, which corpora.demo.modalities does not extract"
    )


def test_an_unwritten_exponent_is_a_number_as_for_dvc(tmp_path: Path) -> None:
    text = PARAMS.replace("learning_rate: 0.0003", "learning_rate: 3e-4")
    assert read_params(write(tmp_path, text)).model("demo").learning_rate == 3e-4


def test_an_unknown_entry_is_told_which_there_are() -> None:
    params = read_params(PROJECT / "params.yaml")
    with pytest.raises(
        UserError, match=r"no 'mled' under 'corpora' \(there are: demo; what stands behind a # is none\)"
    ):
        params.corpus("mled")
    with pytest.raises(
        UserError, match=r"no 'demo_text' under 'models' \(there are: demo; what stands behind a # is none\)"
    ):
        params.model("demo_text")
    with pytest.raises(
        UserError, match=r"no 'both' under 'joins' \(there are: none; what stands behind a # is none\)"
    ):
        params.join("both")


def run_stage(folder: Path, *arguments: str) -> list[str]:
    """What a stage that fails writes to its error stream."""
    command = [sys.executable, "-m", "stages", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_a_stage_stops_at_a_mistake_with_one_line_and_a_status(tmp_path: Path) -> None:
    write(tmp_path, PARAMS.replace("finetune: {epochs", "finetune: {epoch"))
    # In whatever section it stands.
    assert run_stage(tmp_path, "faces", "demo") == [
        "faces: error: params.yaml: corpora.demo.finetune.epoch: unknown key (did you mean 'epochs'?)"
    ]


FIRST_VERSION = """\
defaults:
  faces: &faces {frames_per_utterance: 20}
  visual: &visual
    {architecture: resnet101, weights: models/r.safetensors, layout: auto, sha256: null, features_file: null,
     features_sha256: null, seed: 0, output: head, precision: float32, crop_size_px: 224, pooling: faces}
  audio: &audio {feature_set: ComParE_2016, level: functionals, sample_rate_hz: 16000, silence_dbfs: -70.0}
  finetune: &finetune {encoder: FacebookAI/roberta-base, revision: null, epochs: 10}
  train: &train
    modalities: [text, audio, visual]
    loss: &loss {swfc_weight: 0.4}
    epochs: 100
corpora:
  mine:
    format: table
    root: recordings
    outside_media: true
    modalities: [text, audio, visual]
    max_unobserved: {text: 0.05, audio: 0.1, visual: 0.1}
    faces: {<<: *faces}
    visual: {<<: *visual, weights: untrained}
    audio: {<<: *audio}
    window: {past_utterances: 2}
    finetune: {<<: *finetune, encoder: untrained, untrained: {seed: 0}}
    text: {pooling: first}
    train: {<<: *train, loss: {<<: *loss}, epochs: 30}
    report: {study: mine}
"""
INSTEAD = {
    "defaults: delete it": "a block that is {} has the defaults",
    "corpora.<name>.train: write models: {<name>:": "network: {kind: multiemo",
    "corpora.<name>.report.study: delete it": "compare shows all models",
    "corpora.<name>.visual: write encoder: {kind: resnet,": "what was layout is naming",
    "corpora.<name>.visual.features_file: write joins:": "take: [visual]",
    "corpora.<name>.audio: write encoder: {kind: opensmile,": "feature_set: ...",
    "corpora.<name>.finetune: write text: {encoder: {kind: transformers,": "what was encoder is weights",
    "corpora.<name>.outside_media: write format: {kind: table,": "outside_media: true",
}
"""How the line on each key begins, and what it goes on to say."""


def test_params_of_version_0_1_stop_with_what_to_write_instead(tmp_path: Path) -> None:
    write(tmp_path, FIRST_VERSION)
    first, *lines = run_stage(tmp_path, "code")
    assert first == (
        "code: error: params.yaml: it is of version 0.1, and has these keys that stand elsewhere now"
        " (docs/upgrading.md):"
    )
    assert len(lines) == len(INSTEAD)
    for line, (start, then) in zip(lines, INSTEAD.items(), strict=True):
        assert line.startswith(f"params.yaml: {start}")
        assert then in line


OLD_KEYS = {
    "defaults: {}\n": "defaults: delete it",
    "corpora: {a: {train: {}}}": "corpora.<name>.train: write models",
    "corpora: {a: {report: {study: b}}}": "corpora.<name>.report.study",
    "corpora: {a: {visual: {weights: untrained}}}": "corpora.<name>.visual: write encoder",
    "corpora: {a: {visual: {features_file: b.h5}}}": "corpora.<name>.visual.features_file",
    "corpora: {a: {audio: {level: functionals}}}": "corpora.<name>.audio",
    "corpora: {a: {finetune: {encoder: untrained}}}": "corpora.<name>.finetune",
    "corpora: {a: {outside_media: false}}": "corpora.<name>.outside_media",
}


@pytest.mark.parametrize("text", OLD_KEYS)
def test_a_single_key_of_version_0_1_is_named_alone(tmp_path: Path, text: str) -> None:
    _, only = complaint(tmp_path, text).splitlines()
    assert only.startswith(f"/params.yaml: {OLD_KEYS[text]}")
