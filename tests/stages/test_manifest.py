from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.corpora import meld
from pipeline.corpora.annotations.corpus import Annotation
from pipeline.errors import UserError
from pipeline.manifest import Utterance, read_labels, read_media, read_utterances
from pipeline.media.clips import audio_clip, image_clip
from pipeline.media.probe import Probe
from pipeline.media.probes import Probed
from pipeline.runtime import WORKER_INDEX
from stages.manifest import describe, examine, main
from tests.dvc_cache import move_into_cache

PROJECT = Path(__file__).parents[2]
UTTERANCE = Utterance("u0", "train", "d0", 0, "Ross", "joy", "Hi.")


class DeadlyFolder(type(Path())):  # type: ignore[misc]
    """A folder in which one clip crashes whoever reads it, as a damaged one may crash its decoder."""

    def __truediv__(self, name: str) -> Path:
        if name == "deadly.mp4" and WORKER_INDEX in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return Path(self) / name


class SlowFolder(type(Path())):  # type: ignore[misc]
    """A folder in which one clip takes whoever reads it for ever."""

    def __truediv__(self, name: str) -> Path:
        if name == "slow.mp4" and WORKER_INDEX in os.environ:
            time.sleep(600)
        return Path(self) / name


READ_SLOWLY = """
import sys
import stages.manifest
from tests.stages.test_manifest import SlowFolder
stages.manifest.SAVE_EVERY_S = 0
stages.manifest.examine(SlowFolder(sys.argv[1]), sys.argv[2:])
"""


@pytest.fixture
def raw(tmp_path: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the demo corpus, as the corpus ``demo`` of a project in the current folder."""
    shutil.copytree(demo_root, tmp_path / "raw")
    params = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(params.replace("data/raw/demo", "raw"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTIEMO_STORE", str(tmp_path / "store"))
    return tmp_path / "raw"


def written() -> dict[str, bytes]:
    main("demo")
    return {path.name: path.read_bytes() for path in Path("data/demo").iterdir() if path.is_file()}


def test_the_same_corpus_gives_the_same_bytes(raw: Path, tmp_path: Path) -> None:
    first = written()
    assert first.keys() == {"utterances.csv", "media.csv", "labels.json", "manifest.json"}
    cached = move_into_cache(Path("data/demo"), tmp_path / "cache")
    shutil.rmtree(tmp_path / "store")
    assert written() == first
    assert {path: path.read_bytes() for path in cached} == cached


def test_a_corrected_line_or_label_leaves_the_media_table_alone(raw: Path) -> None:
    before = written()
    annotations = raw / "dev_sent_emo.csv"
    text = annotations.read_text(encoding="utf-8")
    emotion = read_utterances(Path("data/demo/utterances.csv"))[-3].label
    annotations.write_text(text.replace(f",{emotion},", ",neutral,", 1), encoding="utf-8")
    after = written()
    assert after["media.csv"] == before["media.csv"]
    assert (after["utterances.csv"] == before["utterances.csv"]) == (emotion == "neutral")


def test_a_replaced_clip_leaves_the_utterance_table_alone(raw: Path) -> None:
    before = written()
    shutil.copy(raw / "dev_splits_complete/dia0_utt1.mp4", raw / "dev_splits_complete/dia0_utt0.mp4")
    after = written()
    assert after["utterances.csv"] == before["utterances.csv"]
    assert after["media.csv"] != before["media.csv"]


def test_what_is_wrong_with_the_clips_is_told_and_counted(raw: Path) -> None:
    summary = json.loads(written()["manifest.json"])
    assert summary["utterances"] == {"train": 6, "dev": 2, "test": 2}
    assert summary["dialogues"] == {"train": 3, "dev": 1, "test": 1}
    assert (summary["missing"], summary["corrupt"]) == (1, 2)
    problems = {
        (row.image_problem.split(":")[0], row.audio_problem.split(":")[0])
        for row in read_media(Path("data/demo/media.csv"))
    }
    assert problems == {
        ("", ""), ("", "no sound track"), ("clip missing", "clip missing"),
        ("cannot be opened", "cannot be opened"),
    }  # fmt: skip
    assert read_labels(Path("data/demo/labels.json"))[:3] == ("neutral", "surprise", "fear")


def test_a_clip_that_crashes_its_decoder_stops_the_stage_once_all_others_are_read(
    raw: Path, capfd: pytest.CaptureFixture
) -> None:
    clips = raw / "dev_splits_complete"
    shutil.copy(clips / "dia0_utt0.mp4", clips / "deadly.mp4")
    names = ["dia0_utt0.mp4", "deadly.mp4", "dia0_utt1.mp4"]
    for _ in range(2):
        with pytest.raises(
            UserError, match=r"twice at deadly\.mp4 \(killed by SIGKILL\); all other files are kept"
        ):
            examine(DeadlyFolder(clips), names)
    printed = capfd.readouterr().out
    assert "a worker died at deadly.mp4 (killed by SIGKILL); it will be tried again alone" in printed
    assert "manifest: 1 of 3 files to read, 2 unchanged" in printed


def test_a_clip_that_crashes_its_decoder_has_a_reason_where_failures_are_accepted(
    raw: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    clips = raw / "dev_splits_complete"
    shutil.copy(clips / "dia0_utt0.mp4", clips / "deadly.mp4")
    names = ["dia0_utt0.mp4", "deadly.mp4"]
    monkeypatch.setenv("MULTIEMO_ACCEPT_FAILURES", "1")
    probe = examine(DeadlyFolder(clips), names)["deadly.mp4"].probe
    assert (probe.image_problem, probe.audio_problem) == ("worker died twice: killed by SIGKILL",) * 2
    assert examine(clips, names)["deadly.mp4"].probe.image_problem == ""
    assert "manifest: 1 of 2 files to read, 1 unchanged" in capfd.readouterr().out


def test_a_run_that_is_killed_has_not_read_for_nothing(
    raw: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    clips = raw / "dev_splits_complete"
    shutil.copy(clips / "dia0_utt0.mp4", clips / "slow.mp4")
    names = ["dia0_utt0.mp4", "slow.mp4"]
    stage = subprocess.Popen(
        [sys.executable, "-c", READ_SLOWLY, str(clips), *names],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    until = time.monotonic() + 120
    while not list(tmp_path.glob("store/probes/*.json")) and time.monotonic() < until:
        time.sleep(0.05)
    assert stage.poll() is None
    stage.kill()
    stage.wait()
    capfd.readouterr()
    assert examine(clips, names).keys() >= set(names)
    assert "manifest: 1 of 2 files to read, 1 unchanged" in capfd.readouterr().out


def test_a_corpus_that_is_not_there_is_told_by_key_and_place(raw: Path) -> None:
    shutil.rmtree(raw)
    with pytest.raises(
        UserError, match=r"corpora\.demo\.root: raw is not a folder; it should hold MELD\.Raw"
    ):
        main("demo")


def of_a_table(root: Path, rows: list[str], modalities: str, epochs: int) -> None:
    """A project whose corpus ``demo`` is a table of these rows (split, speaker, label)."""
    yaml = YAML(typ="safe")
    params = yaml.load(PROJECT / "params.yaml")
    params["corpora"]["demo"] |= {"format": "table", "root": str(root), "modalities": [modalities]}
    params["corpora"]["demo"]["finetune"]["epochs"] = epochs
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump({"corpora": {"demo": params["corpora"]["demo"]}}, file)
    root.mkdir()
    header = "dialogue,utterance,split,speaker,label,text,media"
    lines = [header, *(f"{row.split(',')[0]},{number},{row},Hi.," for number, row in enumerate(rows))]
    (root / "annotations.csv").write_text("\n".join(lines), encoding="utf-8")


def test_what_a_score_may_mean_otherwise_is_told_and_kept_for_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{split},Zo\u00eb,{label}" for split in ("train", "dev", "test") for label in ("joy", "fear")]
    of_a_table(tmp_path / "raw", [*rows, "test,Zoe\u0308,feer"], "text", epochs=1)
    main("demo")
    printed = capsys.readouterr().out
    assert "manifest: note: 1 cells, or the files that they name, hold decomposed letters" in printed
    assert "manifest: warning: classes that train lacks, so that no network can learn them: 'feer'" in printed
    remarks = json.loads(Path("data/demo/manifest.json").read_text(encoding="utf-8"))["remarks"]
    assert [remark.split()[0] for remark in remarks] == ["classes", "1"]


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_corpus_that_cannot_be_fine_tuned_on_stops_before_the_costly_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{name},Ann,{'' if name == split else 'joy'}" for name in ("train", "dev", "test")]
    of_a_table(tmp_path / "raw", rows, "text", epochs=1)
    with pytest.raises(UserError, match=rf"^corpora\.demo: no labelled .* the {split} split.*epochs: 0"):
        main("demo")
    of_a_table(tmp_path / "predict", rows, "text", epochs=0)
    main("demo")
    of_a_table(tmp_path / "sound", rows, "audio", epochs=1)
    main("demo")


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        ((0.0, 10.0), ""),
        ((9.0, 10.4), ""),
        ((12.0, 13.0), "starts at 12 s, after the file's end at 10 s"),
        ((9.0, 12.5), "ends at 12.5 s, after the file's end at 10 s"),
    ],
)
def test_an_utterance_must_lie_in_its_file(span: tuple[float, float], problem: str) -> None:
    probed = {"a.avi": Probed("digest", Probe(duration_s=10.0, frame_count=250))}
    annotation = Annotation(UTTERANCE, "a.avi", start_s=span[0], end_s=span[1])
    row = describe(annotation, probed)
    assert (row.image_problem, row.audio_problem) == (problem, problem)


def test_a_sound_file_of_its_own_is_digested_and_judged_by_itself() -> None:
    probed = {
        "a.avi": Probed(
            "picture", Probe(duration_s=10.0, audio_problem="no sound track", image_track="1 of 2")
        ),
        "a.mka": Probed(
            "sound",
            Probe(sample_rate_hz=16000, channels=1, audio_track="2 of 3", image_problem="no picture"),
        ),
    }
    row = describe(Annotation(UTTERANCE, "a.avi", audio="a.mka", start_s=1.0, end_s=2.0), probed)
    assert (row.image_problem, row.audio_problem) == ("", "")
    assert (row.sha256, row.audio_sha256, row.sample_rate_hz) == ("picture", "sound", 16000)
    assert (row.image_track, row.audio_track) == ("1 of 2", "2 of 3")
    moved, other = replace(row, start_s=1.5), replace(row, audio_sha256="other")
    assert image_clip(row).key != image_clip(moved).key
    assert audio_clip(row).key == audio_clip(moved).key
    assert audio_clip(row).key != audio_clip(other).key


def test_a_mistake_in_the_annotations_is_named_by_the_corpus_and_its_file(raw: Path) -> None:
    annotations = raw / "dev_sent_emo.csv"
    header, first, *rest = annotations.read_text(encoding="utf-8").splitlines()
    emotion = meld.read(raw, meld.Params()).annotations[6].utterance.label
    assert f",{emotion}," in first
    lines = [header, first.replace(f",{emotion},", ",happy,"), *rest]
    annotations.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"^corpora\.demo: raw/dev_sent_emo\.csv, line 2: emotion 'happy'.* none of MELD's"
    ):
        main("demo")
