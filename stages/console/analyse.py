"""``multiemo analyse``: from a film and its transcript to a page of predictions."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import runtime
from pipeline.console.shared.example import MODELS, Example, find_example
from pipeline.console.shared.transcripts import add_transcript_arguments, read_wanted
from pipeline.errors import UserError
from pipeline.params import PARAMS_FILE, RESULTS
from pipeline.store.written import check_unmended, note_written
from pipeline.transcripts.files import check_name
from pipeline.transcripts.predicted import writers
from pipeline.work.lifetime import stopped_by_signals

if TYPE_CHECKING:
    from pipeline.transcripts.importing import Imported, Wanted
    from train.model import TrainedModel

CORPUS = "film"
"""What the corpus of one film is called in its working folder."""
STAGES = ("manifest", "weights", "faces", "visual", "audio", "finetune", "text", "features")
WORK = "work"
WRITTEN = "written.json"
"""In the working folder: the digests of the results."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo analyse``."""
    parser.description = (
        "Predict the emotion of every utterance of a film, whose features are extracted as those that the\n"
        "model was trained on. FOLDER gets predictions.csv, page.html and files for ELAN, Praat, players.\n"
        "The item store keeps what was extracted, so that a second run is quick. docs/analysing.md has more."
    )
    parser.epilog = "example:\n  multiemo analyse talk.mp4 --transcript talk.vtt --like demo -o result"
    parser.add_argument("film", type=Path, help="a file with picture or sound")
    parser.add_argument(
        "--transcript", type=Path, required=True, metavar="FILE",
        help="who says what when: .eaf, .TextGrid, .srt, .vtt, or JSON of the Whisper family",
    )  # fmt: skip
    parser.add_argument(
        "--like", required=True, metavar="MODEL",
        help="an entry of models in params.yaml, the folder of one, or the corpus of just one",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="for the results")
    parser.add_argument("--link-film", action="store_true", help="link times on the page to the film")
    add_transcript_arguments(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # transformers would report that the encoder's head, which nothing uses here, has other classes.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from train.model import load_model  # brings torch, for which --help need not wait

    film, output = arguments.film, arguments.output
    check_name(film)
    if not film.is_file():
        raise UserError(f"{film}: no such film")
    _check_output(output, arguments.transcript)
    check_unmended(output / WORK / WRITTEN, _targets(output, film))
    example = find_example(arguments.like)
    model = load_model(example.folder)
    imported = _import(arguments.transcript, read_wanted(arguments), film)
    work = output / WORK
    store = _prepare(work.absolute(), film, imported, example, model)
    with _results_elsewhere(work, store):
        for stage in STAGES:
            _run_stage(stage)
            if stage == "manifest":
                check_film(film, model)
    for line in _write(arguments, work, example, model, imported):
        print(line)
    return 0


def _run_stage(name: str) -> None:
    """Run a stage, whose errors are told by its name; KeyboardInterrupt where it is stopped."""
    from pipeline.errors import disk_trouble, was_interrupted

    try:
        with stopped_by_signals():
            importlib.import_module(f"stages.{name}").main(CORPUS)
    except (KeyboardInterrupt, Exception) as error:
        if was_interrupted(error):
            print(f"\n{name}: stopped; the same command goes on from what is kept", file=sys.stderr)
            raise KeyboardInterrupt from error
        words = str(error) if isinstance(error, UserError) else disk_trouble(error)
        if not words:
            raise
        raise UserError(f"{name}: {words}") from error


def _check_output(folder: Path, transcript: Path) -> None:
    """UserError for a folder of something else: only what an analysis wrote is replaced."""
    if transcript.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{transcript}: lies in {folder}, where results are replaced; name another folder with -o"
        )
    if folder.exists() and not (folder.is_dir() and ((folder / WORK).is_dir() or not any(folder.iterdir()))):
        raise UserError(f"{folder}: is not an empty folder, nor one of an analysis; name a new one with -o")


def _targets(folder: Path, film: Path) -> list[Path]:
    """The page, the table, and a file for each program that shows annotations."""
    annotations = (f"{film.stem}{suffix}" for suffix in writers())
    return [folder / name for name in ("page.html", "predictions.csv", *annotations)]


def _import(transcript: Path, wanted: Wanted, film: Path) -> Imported:
    from pipeline.transcripts.importing import import_transcripts

    imported = import_transcripts([transcript], wanted, film)
    for what, count in imported.counts.items():
        print(f"note: {count} {what}")
    return imported


def _prepare(work: Path, film: Path, imported: Imported, example: Example, model: TrainedModel) -> Path:
    """A folder in which the stages find one corpus: the film, by its transcript; the project's item store."""
    from dataclasses import replace

    from ruamel.yaml import YAML

    from pipeline.encoders.alike import entry_like
    from pipeline.params import MODALITIES
    from pipeline.transcripts.table import write_table

    root = work / "corpus"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{root}: cannot be made ({error.strerror}); name another folder with -o") from None
    for old in root.glob("film*"):
        old.unlink()
    link = root / f"film{film.suffix}"
    link.symlink_to(film.absolute())
    linked = replace(imported, rows=[replace(row, media=link) for row in imported.rows])
    write_table(root / "annotations.csv", linked, {row.dialogue: "test" for row in imported.rows}, {})
    modalities = [name for name in MODALITIES if name in model.card.dims]
    with chdir(example.project):
        entry = entry_like(example.corpus_name, example.corpus, modalities, root)
        store = runtime.store_root()
    with (work / PARAMS_FILE).open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"corpora": {CORPUS: entry}}, file)
    return store


def check_film(film: Path, model: TrainedModel) -> None:
    """UserError for a file that is no recording, where the model is to see or hear it; by the manifest."""
    from pipeline.manifest import read_media

    rows = read_media(Path("data", CORPUS, "media.csv"))
    if {"audio", "visual"} & set(model.card.dims) and all(
        row.image_problem and row.image_problem == row.audio_problem for row in rows
    ):
        raise UserError(f"{film}: {rows[0].image_problem}; a model of text alone would do without it")


@contextmanager
def _results_elsewhere(work: Path, store: Path) -> Iterator[None]:
    """Let stages run in another folder with a project's item store."""
    before = os.environ.get("MULTIEMO_STORE")
    os.environ["MULTIEMO_STORE"] = str(store)
    try:
        with chdir(work):
            yield
    finally:
        if before is None:
            del os.environ["MULTIEMO_STORE"]
        else:
            os.environ["MULTIEMO_STORE"] = before


def _write(
    arguments: argparse.Namespace, work: Path, example: Example, model: TrainedModel, imported: Imported
) -> Iterator[str]:
    """Write all results; a line on each.  UserError where nothing was observed."""
    from pipeline.features.cautions import describe_seen, is_untrained
    from pipeline.features.file import read_features
    from pipeline.report.analysis import Analysis, render_analysis
    from pipeline.report.results import read_results
    from pipeline.store.atomic import write_atomically
    from pipeline.transcripts.elan.copying import add_predictions
    from pipeline.transcripts.writing import write_recordings
    from train.compatibility import check_same_encoders
    from train.prediction import count_unseen, describe_model, predict_utterances, write_predictions
    from train.recordings import as_recordings

    film, output, card = arguments.film, arguments.output, model.card
    path = work / "data" / CORPUS / "features.h5"
    features = read_features(path, list(card.dims))
    reasons = {name: list(map(str, modality.reason)) for name, modality in features.modalities.items()}
    unseen = count_unseen(features)
    if unseen == len(features):
        told = "; ".join(f"{name}: {own[0]}" for name, own in reasons.items())
        raise UserError(f"{film}: nothing at all was observed ({told})")
    notes = [*check_same_encoders(features, path, card), *_doubt_names(imported, example, card.dims)]
    notes += [f"{name}: {seen}" for name, words in card.encoders.items() if (seen := describe_seen(words))]
    if unseen:
        notes.append(f"of {unseen} utterances nothing was observed, only what is said around them")
    predictions = predict_utterances(model, features)
    sources = {f"{row.dialogue}_{row.number}": row.source for row in imported.rows}
    said = f"{describe_model(model)} ({example.name})"
    (recording,), _ = as_recordings(features, predictions, card.label_names, said, {}, sources)
    recording = recording._replace(name=film.stem, media=film.name)
    page_path, table, *annotations = _targets(output, film)
    write_predictions(table, features, card.label_names, predictions)
    note_written(work / WRITTEN, table)
    for target in annotations:
        if target.suffix == ".eaf" and recording.utterances[0].source[1]:
            write_atomically(target, add_predictions(arguments.transcript.read_bytes(), recording))
        else:
            write_recordings(target, [recording], replace=True)
        note_written(work / WRITTEN, target)
    results = None
    try:
        results = read_results(example.project / MODELS / RESULTS / f"{example.name}.json")
    except UserError as error:  # who has pulled the model alone can use it
        notes.append(f"the model's own scores are not here: {error}")
    page = render_analysis(
        Analysis(
            film=film.name,
            transcript=arguments.transcript.name,
            link=_link(film, output) if arguments.link_film else "",
            model=said,
            classes=card.label_names,
            results=results,
            untrained={name: words for name, words in card.encoders.items() if is_untrained(words)},
            utterances=recording.shown().utterances,
            probabilities=predictions.probability.tolist(),
            reasons=reasons,
            notes=notes,
        )
    )
    write_atomically(page_path, page.encode())
    note_written(work / WRITTEN, page_path)
    yield f"{output}: {len(features)} utterances by {said}"
    for each in (page_path, table, *annotations):
        yield f"  {each}"
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _doubt_names(imported: Imported, example: Example, dims: Mapping[str, int]) -> Iterator[str]:
    """Names that the text encoder reads before what is said, and never saw."""
    from pipeline.transcripts.speakers import is_made_up

    made_up = sorted({row.speaker for row in imported.rows if is_made_up(row.speaker)})
    if made_up and "text" in dims and example.corpus.window.speaker_names != "none":
        yield (
            f"the text encoder reads speakers' names, and never saw such as {made_up[0]!r}: --speakers gives"
            " people names"
        )


def _link(film: Path, output: Path) -> str:
    """The film's address as seen from the page."""
    from urllib.parse import quote

    return quote(Path(os.path.relpath(film.absolute(), output.absolute())).as_posix())
