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
from pipeline.params import read_params

PROJECT = Path(__file__).parent.parent
PARAMS = (PROJECT / "params.yaml").read_text(encoding="utf-8")


def complaint(tmp_path: Path, old: str, new: str) -> str:
    assert old in PARAMS
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read_params(path)
    return str(raised.value).replace(str(tmp_path), "")


def test_the_projects_own_params_are_sound() -> None:
    assert "demo" in read_params(PROJECT / "params.yaml").corpora


def leaves(node: Any, place: str) -> dict[str, Any]:
    """Full key -> value of everything that is no mapping."""
    if not isinstance(node, dict):
        return {place: node}
    return {key: value for name in node for key, value in leaves(node[name], f"{place}.{name}").items()}


@pytest.mark.parametrize("corpus", ["meld", "iemocap", "demo"])
def test_an_experiment_changes_one_value_of_one_corpus(tmp_path: Path, corpus: str) -> None:
    uncommented = re.sub(r"^  # (meld:|iemocap:|  .*)$", r"  \1", PARAMS, flags=re.MULTILINE)
    path = tmp_path / "params.yaml"
    path.write_text(uncommented, encoding="utf-8")
    assert set(read_params(path).corpora) == {"meld", "iemocap", "demo"}
    before = leaves(YAML(typ="safe").load(path), "params")
    numbers = [
        key
        for key, value in before.items()
        if key.startswith(f"params.corpora.{corpus}.") and isinstance(value, float)
    ]
    assert len(numbers) > 15
    # All at once, because DVC takes its time.  None may stray to the defaults or to another corpus.
    apply_overrides(path, [f"{key.removeprefix('params.')}=0.125" for key in numbers])
    after = leaves(YAML(typ="safe").load(path), "params")
    assert after == before | dict.fromkeys(numbers, 0.125)


MISTAKES = {
    "      min_face_size_px: 60 -> min_face_size: 60": (
        "corpora.demo.faces.min_face_size: unknown key (did you mean 'min_face_size_px'?)"
    ),
    "    format: meld -> format: melt": (
        "corpora.demo.format: input should be 'meld', 'iemocap' or 'table' (it is 'melt')"
    ),
    "      crop_size_px: 96 -> crop_size_px: big": (
        "corpora.demo.visual.crop_size_px: input should be a valid integer (it is 'big')"
    ),
    "      crop_size_px: 96 -> crop_size_px: -1": (
        "corpora.demo.visual.crop_size_px: input should be greater than or equal to 32 (it is -1)"
    ),
    "      weights: untrained -> weights: null": (
        "corpora.demo.visual.weights: input should be a valid string (it is None)"
    ),
    "    audio: {<<: *audio} -> # none": "corpora.demo.audio: missing",
    "      swfc_weight: 0.4 -> swfc_weight: 0.8": "must not exceed 1 (Eq. 22)",
    "    root: data/raw/demo\n    modalities: [text, audio, visual] -> root: x\n    modalities: [text]": (
        "corpora.demo: train.modalities asks for audio, visual, which modalities does not extract"
    ),
    "    adam_betas: [0.9, 0.99] -> adam_betas: [0.9, 1]": "train.adam_betas.1: input should be less than 1",
    "    seeds: [0] -> seeds: [0, 0]": "defaults.train.seeds: must not name anything twice",
    "    l2: 0.00001 -> l2: .inf": "defaults.train.l2: input should be a finite number",
    "  demo:\n    format -> my corpus:\n    format": "corpora.my corpus: string should match pattern",
    "demo: # -> demmo: #": "demmo: unknown key (did you mean 'demo'?)",
    "demo: # -> demo: [": "not valid YAML",
}


@pytest.mark.parametrize("edit", MISTAKES)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, edit: str) -> None:
    old, new = edit.split(" -> ")
    indent = old[: len(old) - len(old.lstrip())]
    message = complaint(tmp_path, f"\n{old}", f"\n{indent}{new}")
    assert MISTAKES[edit] in message
    assert message.startswith("/params.yaml: ")


def test_an_unwritten_exponent_is_a_number_as_for_dvc(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.replace("learning_rate: 0.0003", "learning_rate: 3e-4"), encoding="utf-8")
    assert read_params(path).corpus("demo").train.learning_rate == 3e-4


def test_an_unknown_corpus_is_told_which_there_are() -> None:
    with pytest.raises(UserError, match=r"no corpus 'mled' .*there are: demo"):
        read_params(PROJECT / "params.yaml").corpus("mled")


def test_a_stage_stops_at_a_mistake_with_one_line_and_a_status(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS.replace("pooling: faces", "poling: faces"), encoding="utf-8")
    command = [sys.executable, "-m", "stages", "faces", "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert (
        lines[0] == "faces: error: params.yaml: defaults.visual.poling: unknown key (did you mean 'pooling'?)"
    )
    assert all("poling" in line for line in lines)
