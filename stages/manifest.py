"""Raw data set -> utterances.csv (who says what, in which order) and media.csv (what the clips hold)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from pipeline import runtime
from pipeline.corpora.formats import read_corpus
from pipeline.corpora.layout import Annotation
from pipeline.errors import UserError
from pipeline.manifest import Medium, Utterance, write_table
from pipeline.media import file_digest, probe
from pipeline.params import read_params


def main(corpus: str) -> None:
    """Write the manifest of ``corpora.<corpus>``."""
    params = read_params().corpus(corpus)
    root = Path(params.root)
    if not root.is_dir():
        raise UserError(
            f"corpora.{corpus}.root: {root} is not a folder; it should hold the raw {params.format} corpus"
        )
    annotations = read_corpus(params.format, root)
    with Parallel(n_jobs=runtime.workers(), return_as="generator") as parallel:
        jobs = (delayed(examine)(annotation, root) for annotation in annotations)
        media = list(tqdm(parallel(jobs), total=len(annotations), desc="manifest", unit=" clips"))
    folder = Path("data", corpus)
    write_table(folder / "utterances.csv", [annotation.utterance for annotation in annotations], Utterance)
    write_table(folder / "media.csv", media, Medium)
    dialogues = len({row.dialogue for row in media})
    unusable = sum(1 for row in media if row.picture_problem or row.sound_problem)
    print(
        f"manifest: {len(media)} utterances, {dialogues} dialogues; {unusable} with unusable picture or sound"
    )


def examine(annotation: Annotation, root: Path) -> Medium:
    """The row of media.csv of one utterance."""
    utterance, path = annotation.utterance, root / annotation.media
    found = probe(path)
    digest = file_digest(path) if path.exists() else ""
    return Medium(
        utterance.id, utterance.dialogue, annotation.media, sha256=digest, **dataclasses.asdict(found)
    )
