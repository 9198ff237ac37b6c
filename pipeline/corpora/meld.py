"""MELD's raw layout (``MELD.Raw``) as utterances and their clips.

An utterance is identified by split, dialogue and utterance number, since dialogue numbers repeat
across splits.  Facts on the layout and its defects are from the corpus and its public errata.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pipeline.corpora.layout import Annotation
from pipeline.errors import UserError
from pipeline.manifest import Utterance

# The order in which published MELD feature files number the emotions.
LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")

CONTENT = "MELD.Raw: train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv and the folders of clips"

_SPLIT_FOLDERS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def read_meld(root: Path) -> list[Annotation]:
    """All annotated utterances of a MELD folder, by split, dialogue and utterance number.

    The annotation files stand beside the clip folders or in ``train/``, ``dev/`` and ``test/``.
    Clips without annotation are left out; an annotated utterance without a clip is kept.
    """
    annotations: list[Annotation] = []
    for split, folder in _SPLIT_FOLDERS.items():
        annotation = _find_annotation(root, split)
        clips = _find_clips(annotation.parent / folder, root)
        rows = [_parse(row, annotation, line) for line, row in _read_rows(annotation)]
        rows.sort(key=lambda row: row[:2])
        positions: dict[int, int] = {}
        for dialogue, number, row in rows:
            position = positions[dialogue] = positions.get(dialogue, -1) + 1
            name = f"dia{dialogue}_utt{number}"
            utterance = Utterance(
                id=f"{split}_{name}",
                split=split,
                dialogue=f"{split}_dia{dialogue}",
                position=position,
                speaker=row["Speaker"].strip(),
                label=row["Emotion"].strip().lower(),
                text=row["Utterance"].strip(),
            )
            annotations.append(Annotation(utterance, media=clips.get(name, f"{folder}/{name}.mp4")))
    return annotations


def _find_annotation(root: Path, split: str) -> Path:
    name = f"{split}_sent_emo.csv"
    for candidate in (root / name, root / split / name):
        if candidate.is_file():
            return candidate
    raise UserError(
        f"{root}: no MELD corpus: looked for {name} in {root} and in {root / split};"
        f" point the corpus's 'root' in params.yaml at the folder that holds it"
    )


def _find_clips(folder: Path, root: Path) -> dict[str, str]:
    """Clip name (``dia0_utt0``) -> path relative to the root.

    Where the test split holds ``final_videos_testdia0_utt0.mp4``, it is the right cut of the utterance
    and the plain clip is not.  ``._*`` files are leftovers of macOS archives.
    """
    clips: dict[str, str] = {}
    for path in sorted(folder.glob("*.mp4"), key=lambda path: path.name.startswith("final_videos_test")):
        if not path.name.startswith("._"):
            clips[path.stem.removeprefix("final_videos_test")] = path.relative_to(root).as_posix()
    return clips


def _read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV file; UserError if it is empty or lacks a column."""
    reader = csv.DictReader(io.StringIO(_decode(path.read_bytes()), newline=""))
    absent = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
    if absent:
        raise UserError(f"{path}: column {absent[0]} is missing; expected MELD's {', '.join(_COLUMNS)}")
    rows = [(reader.line_num, row) for row in reader]
    if not rows:
        raise UserError(f"{path}: no utterances")
    return rows


def _decode(content: bytes) -> str:
    """Text of an annotation file: today's are UTF-8, older copies cp1252.

    Some copies hold C1 control characters (U+0080 to U+009F) that stand for the cp1252 characters of
    the same number: typographic quotes and dashes.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    return text.translate(_C1_TO_CP1252)


_C1_TO_CP1252 = {
    code: bytes([code]).decode("cp1252", errors="ignore") or "\N{REPLACEMENT CHARACTER}"
    for code in range(0x80, 0xA0)
}


def _parse(row: dict[str, str], path: Path, line: int) -> tuple[int, int, dict[str, str]]:
    try:
        dialogue, number = int(row["Dialogue_ID"]), int(row["Utterance_ID"])
    except (TypeError, ValueError):
        raise UserError(
            f"{path}, line {line}: Dialogue_ID and Utterance_ID must be whole numbers,"
            f" not {row['Dialogue_ID']!r} and {row['Utterance_ID']!r}"
        ) from None
    label = (row["Emotion"] or "").strip().lower()
    if label not in LABELS:
        raise UserError(
            f"{path}, line {line}: emotion {row['Emotion']!r} of dialogue {dialogue}, utterance {number}"
            f" is none of MELD's: {', '.join(LABELS)}"
        )
    return dialogue, number, row
