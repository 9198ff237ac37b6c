"""Stage report: everything that was found about a corpus and its features -> report.html.

The page is one file that needs no network: whoever gets it opens it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.encoders.face_vectors import crop_face
from pipeline.encoders.visual import finds_faces, finds_speakers
from pipeline.errors import reading_output
from pipeline.features.cautions import describe_seen, is_untrained
from pipeline.features.file import read_features
from pipeline.features.inspection import inspect_features
from pipeline.manifest import Medium, read_labels, read_media, read_utterances
from pipeline.params import CorpusParams, read_params
from pipeline.report import facts
from pipeline.report.charts import draw_counts, to_svg
from pipeline.report.contact_sheet import draw_faces
from pipeline.report.page import render_page
from pipeline.report.speakers import describe_speakers, draw_speakers
from pipeline.report.summary import read_remarks
from pipeline.store.atomic import write_csv, write_text
from pipeline.store.h5 import Arrays
from pipeline.work.stagefile import read_stage_file

LISTED = 200  # utterances that the page lists as not observed; quarantine.csv has them all


def main(corpus: str) -> None:
    """Write ``data/<corpus>/report.html`` and ``plots/coverage.csv``."""
    params = read_params().corpus(corpus)
    folder = Path("data", corpus)
    labels = read_labels(folder / "labels.json")
    page: dict[str, Any] = (
        {"corpus": corpus, "label_names": labels}
        | describe_corpus(folder, params, labels)
        | describe_features(folder, params)
    )
    write_coverage(folder / "plots" / "coverage.csv", page["coverage"])
    html = render_page("report", page)
    write_text(folder / "report.html", html)
    print(f"report: {folder / 'report.html'} ({len(html.encode()) / 1e6:.1f} MB)")


def describe_corpus(folder: Path, params: CorpusParams, label_names: Sequence[str]) -> dict[str, Any]:
    """Sizes, classes, lengths, faces."""
    utterances, media = read_utterances(folder / "utterances.csv"), read_media(folder / "media.csv")
    lengths, durations = facts.dialogue_lengths(utterances), facts.durations_s(utterances, media)
    with_faces = finds_faces(folder.name, params)
    with_speakers = finds_speakers(folder.name, params)
    ids = [row.id for row in utterances] if with_faces else []
    faces, source = read_stage_file(folder / "faces.h5", ids)
    found = facts.describe_faces(faces)
    pictures: dict[str, Any] = {"speakers": None, "speaker_sheet": []}
    if with_speakers:
        chosen, _ = read_stage_file(folder / "visual.h5", ids)
        evidence, track = chosen["speaker_evidence"], chosen["speaker_track"]
        pictures["speakers"] = describe_speakers(evidence)
        if params.report.contact_sheet:
            pictures["speaker_sheet"] = draw_speakers(media, faces, evidence, track, params.folder)
    return {
        "remarks": read_remarks(folder),
        "sizes": facts.split_sizes(utterances, media),
        "classes": facts.class_shares(utterances, label_names),
        "dialogue_lengths": _histogram(
            lengths, _whole_edges(lengths), "dialogues by length", "length in utterances"
        ),
        "durations": _histogram(
            durations,
            np.arange(0, 17.0),
            "utterances by duration",
            "duration in s; the last bar holds all longer ones",
        ),
        "faces": found,
        **({} if found is None else _face_figures(found, source["settings"]["min_face_size_px"])),
        "contact_sheet": _contact_sheet(media, faces, params) if with_faces and not with_speakers else [],
        **pictures,
    }


def describe_features(folder: Path, params: CorpusParams) -> dict[str, Any]:
    """What was observed, and the health of the vectors."""
    inspection = inspect_features(folder / "features.h5")
    provenance: dict[str, Any] = {}
    repeated = {}
    for name in params.modalities:  # one at a time: together they are half a gigabyte on MELD
        features = read_features(folder / "features.h5", [name])
        provenance, repeated[name] = features.provenance, facts.count_repeated(features.modalities[name])
    modalities = {name: inspection.modalities[name] for name in params.modalities}
    everything = inspection.splits["all"].utterances
    path = folder / "quarantine.csv"
    with reading_output(path), path.open(encoding="utf-8", newline="") as file:
        quarantine = list(csv.DictReader(file))
        reasons = Counter((row["modality"], row["reason"]) for row in quarantine)
    return {
        "coverage": facts.coverage(inspection, params.modalities),
        "reasons": reasons.most_common(),
        "quarantine": quarantine[:LISTED],
        "quarantined": len(quarantine),
        "modalities": modalities,
        "observed": {
            name: facts.Share(each.observed["all"], everything) for name, each in modalities.items()
        },
        "repeated": repeated,
        "sources": {name: provenance["sources"][name] for name in modalities},
        "seen": [
            (name, each.encoder, words)
            for name, each in modalities.items()
            if (words := describe_seen(each.encoder))
        ],
        "untrained": {name: each.encoder for name, each in modalities.items() if is_untrained(each.encoder)},
    }


def write_coverage(path: Path, coverage: dict[str, dict[str, facts.Share]]) -> None:
    """One row per modality and split, for ``dvc plots``."""
    rows = [
        (modality, split, f"{share.percent:.2f}")
        for modality, shares in coverage.items()
        for split, share in shares.items()
    ]
    write_csv(path, ("modality", "split", "observed_percent"), rows)


def _face_figures(found: facts.Faces, min_face_size_px: int) -> dict[str, Any]:
    # Not the tallest: one close-up would leave no room for the rest.
    usual_px = float(np.percentile(found.height_px, 99)) if found.faces else 1.0
    sizes = {"face": found.height_px}
    return {
        "min_face_size_px": min_face_size_px,
        "faces_per_frame": _histogram(
            {"frame": found.per_frame},
            np.arange(-0.5, 7),
            "sampled frames by faces in them",
            "faces in the frame; the last bar holds all with more",
        ),
        "face_heights": _histogram(
            sizes,
            np.linspace(0, usual_px, 21),
            "faces by height",
            "height in px; the last bar holds all taller ones",
        ),
    }


def _contact_sheet(media: list[Medium], faces: Arrays, params: CorpusParams) -> list[Any]:
    if not params.report.contact_sheet:
        return []
    cut = partial(crop_face, margin=params.visual.crop_margin, size_px=params.visual.crop_size_px)
    return draw_faces(media, faces, params.folder, cut)


def _whole_edges(values: facts.BySplit) -> np.ndarray:
    """Edges of at most 30 bars of equal, whole width."""
    longest = int(max(group.max() for group in values.values()))
    width = -(-longest // 30)
    return np.arange(0.5, longest + width + 0.5, width)


def _histogram(values: facts.BySplit, edges: np.ndarray, title: str, label: str) -> Markup:
    if not any(group.size for group in values.values()):
        return Markup("")
    figure: Figure = draw_counts(values, edges, title, label)
    everything = np.concatenate(list(values.values()))
    summary = f"median {np.median(everything):g}, from {everything.min():g} to {everything.max():g}"
    return to_svg(figure, f"Histogram, {title}: {summary}")
