"""MELD's raw layout (``MELD.Raw``) as utterances and their clips.

An utterance is identified by split, dialogue and utterance number, since dialogue numbers repeat
across splits.  Facts on the layout and its defects are from the corpus and its public errata.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pipeline.corpora.annotations.cells import check_gaps, describe_mended, plain, whole_number
from pipeline.corpora.annotations.corpus import Annotation, Corpus
from pipeline.corpora.annotations.labels import MELD as LABELS
from pipeline.corpora.annotations.rows import Mistakes, read_delimited, read_lines
from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import FormatParams

CONTENT = "MELD.Raw: train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv and the folders of clips"

_SPLIT_FOLDERS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
_LINE_END = re.compile(r"[\r\n]+")  # within quotes; the manifest has a line for an utterance
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


class Params(FormatParams):
    """MELD has none of its own."""

    kind: Literal["meld"] = "meld"


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """MELD's emotions, whichever of them occur."""
    return LABELS


def read(root: Path, params: Params) -> Corpus:
    """The corpus at ``root``: every annotated row is in it, by split, dialogue and utterance number.

    The annotation files stand beside the clip folders or in ``train/``, ``dev/`` and ``test/``.
    Clips without annotation are left out; an annotated utterance without a clip is kept.
    """
    mistakes = Mistakes()
    mended: Counter[str] = Counter()
    annotations: list[Annotation] = []
    for split, folder in _SPLIT_FOLDERS.items():
        annotation = _find_annotation(root, split)
        clips = _find_clips(_clip_folder(root, split, annotation.parent), root)
        missing = (annotation.parent / folder).relative_to(root)
        positions: dict[int, int] = {}
        for (dialogue, number), cells in sorted(_read_rows(annotation, mistakes, mended).items()):
            position = positions[dialogue] = positions.get(dialogue, -1) + 1
            name = f"dia{dialogue}_utt{number}"
            utterance = Utterance(
                id=f"{split}_{name}",
                split=split,
                dialogue=f"{split}_dia{dialogue}",
                position=position,
                speaker=cells["Speaker"],
                label=cells["Emotion"].lower(),
                text=cells["Utterance"],
            )
            clip = clips.get(name, (missing / f"{name}.mp4").as_posix())
            annotations.append(Annotation(utterance, media=clip))
    mistakes.refuse()
    return Corpus(annotations, notes={}, remarks=describe_mended(mended))


def _find_annotation(root: Path, split: str) -> Path:
    name = f"{split}_sent_emo.csv"
    for candidate in (root / name, root / split / name):
        if candidate.is_file():
            return candidate
    raise UserError(
        f"{root}: no MELD corpus: looked for {name} in {root} and in {root / split};"
        f" point the corpus's 'root' in params.yaml at the folder that holds it"
    )


def _clip_folder(root: Path, split: str, beside: Path) -> Path:
    """The clips of a split, which usually lie beside the annotation file but need not."""
    name = _SPLIT_FOLDERS[split]
    candidates = (beside / name, root / split / name, root / name)
    return next((folder for folder in candidates if folder.is_dir()), candidates[0])


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


def _read_rows(path: Path, mistakes: Mistakes, mended: Counter[str]) -> dict[tuple[int, int], dict[str, str]]:
    """(dialogue, utterance) -> its cells.  Today's files are UTF-8, older copies cp1252."""
    rows: dict[tuple[int, int], dict[str, str]] = {}
    lines: dict[tuple[int, int], int] = {}
    table = read_delimited(path, read_lines(path, cp1252=True), mistakes, required=_COLUMNS)
    if not table:
        mistakes.add(str(path), "no utterances")
    for row in table:
        cells = {column: _LINE_END.sub(" ", plain(row.cells[column])).strip() for column in _COLUMNS}
        with mistakes.at(f"{path}, line {row.line}"):
            key = _check(cells)
            if (earlier := lines.setdefault(key, row.line)) != row.line:
                raise UserError(
                    f"dialogue {key[0]}, utterance {key[1]} is annotated more than once, also on line"
                    f" {earlier}: keep one of them"
                )
            rows[key] = cells
            mended.update(column for column in _COLUMNS if plain(row.cells[column]) != row.cells[column])
    return rows


def _check(cells: dict[str, str]) -> tuple[int, int]:
    """Dialogue and utterance number of a row."""
    check_gaps(cells)
    dialogue, number = whole_number(cells["Dialogue_ID"]), whole_number(cells["Utterance_ID"])
    if dialogue is None or number is None:
        raise UserError(
            f"Dialogue_ID and Utterance_ID must be whole numbers,"
            f" not {cells['Dialogue_ID']!r} and {cells['Utterance_ID']!r}"
        )
    if cells["Emotion"].lower() not in LABELS:
        raise UserError(
            f"emotion {cells['Emotion']!r} of dialogue {dialogue}, utterance {number}"
            f" is none of MELD's: {', '.join(LABELS)}"
        )
    return dialogue, number
