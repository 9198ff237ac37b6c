"""Raw data set -> utterances.csv (who says what, in which order) and media.csv (what the clips hold).

Every file is digested and probed once; a later run reads only those that were replaced or touched.
Beside the tables stands manifest.json, a summary that `dvc metrics` shows, and its plots.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pipeline import runtime
from pipeline.corpora.annotations.corpus import Annotation, Corpus, read_format
from pipeline.corpora.annotations.doubts import find_doubts
from pipeline.corpora.annotations.outside import files_outside
from pipeline.errors import UserError, printable
from pipeline.manifest import Medium, Utterance, write_labels, write_table
from pipeline.media.probe import Probe
from pipeline.media.probes import ProbeCache, Probed, examine_file
from pipeline.params import CorpusParams, KindOf, read_params
from pipeline.report.summary import write_summary
from pipeline.store.keys import listing_digest
from pipeline.work.engine import deaths_error, run_all
from pipeline.work.processes import WorkerDied
from pipeline.work.progress import Progress

# A span may end this much after its file does: annotations are rounded, and codecs pad.
END_TOLERANCE_S = 0.5
# A run that is killed has read for nothing no longer than this.
SAVE_EVERY_S = 30.0

NOT_EXAMINED = Probed(probe=Probe())
NO_FILE = Probed(probe=Probe(image_problem="no file named", audio_problem="no file named"))


def main(corpus: str) -> None:
    """Write the manifest of ``corpora.<corpus>``."""
    params = read_params().corpus(corpus)
    root = params.folder
    form = read_format(corpus, params)
    if not root.is_dir():
        content = form.module.CONTENT
        raise UserError(f"corpora.{corpus}.root: {params.root} is not a folder; it should hold {content}")
    annotations, notes, remarks = _read(form, params.root, corpus)
    utterances = [annotation.utterance for annotation in annotations]
    _check_finetuning(corpus, params, utterances)
    files = _list_files(annotations)
    if set(params.modalities) == {"text"}:  # it needs no clips, and may have none
        probed = dict.fromkeys(["", *files], NOT_EXAMINED)
    else:
        probed = examine(root, files)
        _check_outside(corpus, form, root, probed)
    media = [describe(annotation, probed) for annotation in annotations]
    # They quote the table, are printed, and stand in the report.
    remarks = list(map(printable, remarks))
    doubts = list(map(printable, find_doubts(annotations)))
    folder = Path("data", corpus)
    write_table(folder / "utterances.csv", utterances, Utterance)
    write_table(folder / "media.csv", media, Medium)
    write_labels(folder / "labels.json", form.module.label_names(row.label for row in utterances))
    write_summary(folder, utterances, media, notes, [*doubts, *remarks])
    dialogues = len({row.dialogue for row in media})
    unusable = sum(1 for row in media if row.image_problem or row.audio_problem)
    print(
        f"manifest: {len(media)} utterances, {dialogues} dialogues; {unusable} with unusable picture or sound"
    )
    for note, count in notes.items():
        print(f"manifest: left out by the corpus's definition: {count} {note}")
    for remark in remarks:
        print(f"manifest: note: {remark}")
    for doubt in doubts:
        print(f"manifest: warning: {doubt}")


def _read(form: KindOf, root: str, corpus: str) -> Corpus:
    """The annotated corpus; UserError, with the first mistakes by file and line, if a row cannot be read."""
    try:
        read: Corpus = form.module.read(Path(root), form.params)
        return read
    except UserError as error:
        raise UserError(f"corpora.{corpus}: {error}") from None


def _check_finetuning(corpus: str, params: CorpusParams, utterances: Sequence[Utterance]) -> None:
    """UserError for what fine-tuning lacks: it would find out after hours of other stages."""
    if "text" not in params.modalities or not params.finetune.epochs:
        return
    for split in ("train", "dev"):
        if not any(row.label for row in utterances if row.split == split):
            raise UserError(
                f"corpora.{corpus}: no labelled utterance in the {split} split, which fine-tuning needs; mend"
                f" the annotations, or set corpora.{corpus}.finetune.epochs: 0 for a corpus to predict on"
            )


def _check_outside(corpus: str, form: KindOf, root: Path, probed: Mapping[str, Probed]) -> None:
    """UserError unless media outside of the root, which DVC does not watch, are those that are meant."""
    outside = files_outside(root, (name for name in probed if name))
    if not outside:
        return
    expected = form.params.outside_sha256
    found = listing_digest({name: probed[name].sha256 for name in outside})
    if found != expected:
        state = "missing" if expected is None else f"{expected} is not that of the files now"
        raise UserError(
            f"corpora.{corpus}.format.outside_sha256: {state}; {len(outside)} media files lie outside of the"
            f" root ({outside[0]}, ...); `multiemo pin` writes it, or write there\noutside_sha256: {found}"
        )


def examine(root: Path, files: Sequence[str]) -> dict[str, Probed]:
    """Digest and probe of every file, by its path below the root.

    UserError where a file is changed meanwhile: what was found may be neither of the old one nor of the new.
    """
    cache = ProbeCache.open(runtime.store_root() / "probes", root)
    found = {name: probed for name in files if (probed := cache.get(name)) is not None}
    stale = [name for name in files if name not in found]
    print(
        f"manifest: {len(stale)} of {len(files)} files to read, {len(files) - len(stale)} unchanged",
        flush=True,
    )
    deaths: dict[str, WorkerDied] = {}
    accept_failures = runtime.accept_failures()
    if stale:
        examine_one = partial(_examine_below, root)
        with Progress("manifest", files=len(stale)) as progress:

            def say(name: str, death: WorkerDied) -> None:
                progress.say(f"a worker died at {name} ({death}); it will be tried again alone")

            saved = time.monotonic()
            try:
                for name, probed, death in run_all(
                    examine_one, stale, workers=runtime.workers(), modules=["stages.manifest"], on_death=say
                ):
                    if death is None:
                        cache.put(name, probed)
                        found[name] = probed
                    else:  # not kept, so that the next run tries again
                        deaths[name] = death
                    progress.advance(files=1)
                    if time.monotonic() - saved > SAVE_EVERY_S:
                        cache.save()
                        saved = time.monotonic()
            finally:
                cache.save()  # a run that is stopped goes on where it was
    if deaths and not accept_failures:
        raise deaths_error("files", deaths)
    if changed := [name for name in found if cache.get(name) is None]:
        more = f" and {len(changed) - 1} other files" if len(changed) > 1 else ""
        raise UserError(f"{root / changed[0]}{more} changed while it was read; run dvc repro again")
    unreadable = {
        name: Probed(probe=_unusable(f"worker died twice: {death}")) for name, death in deaths.items()
    }
    return {"": NO_FILE} | found | unreadable


def _examine_below(root: Path, name: str) -> Probed:
    return examine_file(root / name)


def _unusable(problem: str) -> Probe:
    return Probe(image_problem=problem, audio_problem=problem)


def describe(annotation: Annotation, probed: dict[str, Probed]) -> Medium:
    """The row of media.csv of one utterance."""
    utterance, span = annotation.utterance, (annotation.start_s, annotation.end_s)
    picture = probed[annotation.media]
    sound = probed[annotation.audio] if annotation.audio else picture
    found = picture.probe
    problem = _span_problem(*span, found.duration_s)
    return Medium(
        id=utterance.id,
        dialogue=utterance.dialogue,
        path=annotation.media,
        start_s=span[0],
        end_s=span[1],
        crop=annotation.crop,
        audio_path=annotation.audio,
        sha256=picture.sha256,
        audio_sha256=sound.sha256 if annotation.audio else "",
        **dataclasses.asdict(found)
        | {
            "sample_rate_hz": sound.probe.sample_rate_hz,
            "channels": sound.probe.channels,
            "audio_track": sound.probe.audio_track,
            "image_problem": found.image_problem or problem,
            "audio_problem": sound.probe.audio_problem or ("" if annotation.audio else problem),
        },
    )


def _list_files(annotations: Sequence[Annotation]) -> list[str]:
    """Every file that holds picture or sound of an utterance, once."""
    names = [name for annotation in annotations for name in (annotation.media, annotation.audio) if name]
    return list(dict.fromkeys(names))


def _span_problem(start_s: float | None, end_s: float | None, duration_s: float) -> str:
    """Why a span does not lie in its file; empty if it does, or if the file's length is unknown."""
    if not duration_s or start_s is None or end_s is None:
        return ""
    if start_s >= duration_s:
        return f"starts at {start_s:g} s, after the file's end at {duration_s:g} s"
    if end_s > duration_s + END_TOLERANCE_S:
        return f"ends at {end_s:g} s, after the file's end at {duration_s:g} s"
    return ""
