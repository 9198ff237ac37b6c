"""The recipes of docs/corpora.md, on small files of the layouts that they are for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from pipeline.corpora.annotations.corpus import Annotation
from pipeline.corpora.table import read_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "corpora.md"


def run_recipe(corpus: str) -> None:
    section = DOCUMENT.read_text(encoding="utf-8").split(f"### {corpus}\n")[1]
    exec(section.split("```python\n")[1].split("```")[0], {})


def splits(rows: list[Annotation]) -> Counter[str]:
    return Counter(row.utterance.split for row in rows)


def test_emorynlps_scenes_are_dialogues_and_keep_all_their_speakers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path("emotion-detection/json")
    root.mkdir(parents=True)
    for part in ("trn", "dev", "tst"):
        said = (("Hi!", "Neutral", ["Monica Geller"]), ("Hey!", "Joyful", ["Ross Geller", "Chandler Bing"]))
        lines = [
            {
                "utterance_id": f"s01_e02_c01_u00{2 * number + 2}",
                "speakers": speakers,
                "transcript": text,
                "tokens": [[text[:-1], text[-1]]],
                "emotion": emotion,
            }
            for number, (text, emotion, speakers) in enumerate(said)
        ]
        scenes = [{"scene_id": f"{part}_c0{number}", "utterances": lines} for number in (1, 2)]
        season = {"season_id": part, "episodes": [{"episode_id": part, "scenes": scenes}]}
        (root / f"emotion-detection-{part}.json").write_text(json.dumps(season), encoding="utf-8")
    run_recipe("EmoryNLP")
    rows = read_table(root)
    assert splits(rows) == {"train": 4, "dev": 4, "test": 4}
    assert [row.utterance.id for row in rows[:3]] == ["trn_c01_0", "trn_c01_1", "trn_c02_0"]
    assert rows[1].utterance.speaker == "Ross Geller & Chandler Bing"
    assert rows[1].utterance.label == "Joyful"


def test_dailydialogs_lines_are_dialogues_of_two_who_take_turns(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path("ijcnlp_dailydialog")
    for split in ("train", "validation", "test"):
        (root / split).mkdir(parents=True)
        said = "Hi , Jim .\u2028 __eou__ Hello ! __eou__ Bye . __eou__\nWhat ? __eou__ No . __eou__\n"
        (root / split / f"dialogues_{split}.txt").write_text(said, encoding="utf-8")
        (root / split / f"dialogues_emotion_{split}.txt").write_text("0 4 0 \n6 1 \n", encoding="utf-8")
    run_recipe("DailyDialog")
    rows = read_table(root)
    assert splits(rows) == {"train": 5, "dev": 5, "test": 5}
    assert [(row.utterance.speaker, row.utterance.text, row.utterance.label) for row in rows[:5]] == [
        ("A", "Hi , Jim .", "no emotion"),
        ("B", "Hello !", "happiness"),
        ("A", "Bye .", "no emotion"),
        ("A", "What ?", "surprise"),
        ("B", "No .", "anger"),
    ]
    assert rows[3].utterance.dialogue == "train_1"


def test_mers_clips_are_dialogues_of_one_utterance(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path("mer2023-dataset")
    names = {part: [f"sample_{n:08d}" for n in (range(40) if part == "train" else range(40, 44))]
             for part in ("train", "test1")}  # fmt: skip
    for part, listed in names.items():
        (root / part).mkdir(parents=True)
        for number, name in enumerate(listed):
            (root / part / f"{name}.{'avi' if number % 2 else 'mp4'}").touch()
        lines = ["name,discrete,valence", *(f"{name},happy,1.5" for name in listed)]
        (root / f"{part}-label.csv").write_text("\n".join(lines), encoding="utf-8")
    spoken = ["name,sentence", *(f"{name},你好" for name in names["train"][1:])]
    (root / "transcription.csv").write_text("\n".join(spoken), encoding="utf-8-sig")
    run_recipe("MER2023")
    rows = read_table(root)
    assert splits(rows)["test"] == 4
    assert 0 < splits(rows)["dev"] < 10
    assert {row.utterance.position for row in rows} == {0}
    assert all((root / row.media).is_file() for row in rows)
    texts = {row.utterance.dialogue: row.utterance.text for row in rows}
    assert (texts["sample_00000000"], texts["sample_00000001"]) == ("", "你好")
