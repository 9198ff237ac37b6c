"""How long the stages of a corpus may take here, by one clip and by the text of one dialogue."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.corpora.annotations.corpus import Annotation
from pipeline.errors import UserError
from pipeline.manifest import Medium, Utterance, by_dialogue
from pipeline.params import CorpusParams
from pipeline.store.h5 import Arrays

TRAINING_PASSES = 3
"""An utterance's forward and backward pass take as long as three forward passes."""


class _Work(NamedTuple):
    """What a stage does for a sample."""

    stage: str
    sample: str
    run: Callable[[], Any]
    workers: int
    utterances: int
    """In the whole corpus."""


def measure_stages(
    corpus: str,
    params: CorpusParams,
    annotations: Sequence[Annotation],
    there: Sequence[Annotation],
    encoders: Mapping[str, Any],
) -> Iterator[tuple[str, str | UserError]]:
    """(stage, how long it may take, in words, or why it cannot run), of those that can be tried.

    ``there`` are the annotations whose media are there, and ``encoders`` those that could be found.
    """
    if there:
        clips = sorted(there, key=lambda row: (params.folder / row.media).stat().st_size)
        try:
            yield from _measure_clip(corpus, params, clips[len(clips) // 2], encoders, len(there))
        except UserError as error:
            yield "faces", error
    if annotations and "text" in encoders:
        try:
            yield from _measure_text(params, [row.utterance for row in annotations], encoders["text"])
        except UserError as error:
            yield "text", error


def _measure_clip(
    corpus: str, params: CorpusParams, row: Annotation, encoders: Mapping[str, Any], utterances: int
) -> Iterator[tuple[str, str | UserError]]:
    for work in _work_on_clip(corpus, params, row, encoders, utterances):
        try:
            work.run()  # loads what is loaded once
            seconds = _seconds(work.run)
        except UserError as error:
            yield work.stage, error
        else:
            total = _in_words(seconds * work.utterances / work.workers)
            yield work.stage, f"{seconds:.2f} s for {work.sample}: {total} in all"


def _work_on_clip(
    corpus: str, params: CorpusParams, row: Annotation, encoders: Mapping[str, Any], utterances: int
) -> Iterator[_Work]:
    from pipeline import runtime
    from pipeline.encoders.audio_vectors import describe_audio_of_dialogue
    from pipeline.encoders.encoder import runs_network
    from pipeline.encoders.face_vectors import ClipFaces, embed_dialogue
    from pipeline.encoders.scene_vectors import embed_scenes
    from pipeline.encoders.visual import finds_faces
    from pipeline.faces.dialogues import find_faces_of_dialogue
    from pipeline.media.clips import audio_clip, image_clip

    id, dialogue = row.utterance.id, row.utterance.dialogue
    medium = Medium(id, dialogue, row.media, row.start_s, row.end_s, row.crop, row.audio)
    picture, sound = image_clip(medium), audio_clip(medium)
    root, of_networks = params.folder, runtime.model_workers()
    if finds_faces(corpus, params):
        found: Arrays = {"box_px": np.empty(0)}  # nothing is embedded where looking for faces fails

        def find() -> None:
            found.update(find_faces_of_dialogue([picture], root, params.faces))

        yield _Work("faces", row.media, find, of_networks, utterances)
        if "visual" in encoders and len(found["box_px"]):
            faces = ClipFaces(row.media, "", found["frame_index"], found["box_px"], id)
            embed = partial(embed_dialogue, [faces], root, encoders["visual"], params.visual)
            yield _Work("visual", row.media, embed, of_networks, utterances)
    elif "visual" in encoders:
        embed = partial(embed_scenes, [picture], root, encoders["visual"])
        yield _Work("visual", row.media, embed, of_networks, utterances)
    if "audio" in encoders:
        encoder, audio = encoders["audio"], params.audio
        describe = partial(
            describe_audio_of_dialogue, [sound], root, encoder, audio.silence_dbfs, audio.channels
        )
        workers = of_networks if runs_network(encoder) else runtime.workers()
        yield _Work("audio", sound.path, describe, workers, utterances)


def _measure_text(
    params: CorpusParams, utterances: Sequence[Utterance], encoder: Any
) -> Iterator[tuple[str, str]]:
    from pipeline import runtime
    from pipeline.encoders.text_vectors import embed_dialogue

    dialogues = sorted(by_dialogue(utterances).values(), key=len)
    dialogue = dialogues[len(dialogues) // 2]
    labels = sorted({row.label for row in utterances if row.label}) or ["unlabelled"]
    tokenizer, network = encoder.load(utterances, labels, params.window, params.finetune.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = encoder.path
        if folder is None:
            folder = Path(temporary)
            network.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        embed = partial(
            embed_dialogue,
            encoder=folder,
            window=params.window,
            pooling=params.text.pooling,
            layers=params.text.layers,
        )
        embed(dialogue[:1])  # loads what is loaded once
        seconds = _seconds(partial(embed, dialogue)) / len(dialogue)
    workers = runtime.model_workers()
    total = _in_words(seconds * len(utterances) / workers)
    yield "text", f"{seconds:.2f} s for an utterance of {dialogue[0].dialogue}: {total} in all"
    if epochs := params.finetune.epochs:
        labelled = Counter(row.split for row in utterances if row.label)
        passes = epochs * (TRAINING_PASSES * labelled["train"] + labelled["dev"])
        total = _in_words(seconds * passes / workers)
        words = f"{epochs} epochs of {labelled['train']} utterances, at {TRAINING_PASSES} times text's time"
        yield "finetune", f"{words}: {total} in all"


def _seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(seconds, 1):.0f} s"
    return f"about {seconds / 3600:.1f} hours" if seconds >= 3600 else f"about {seconds / 60:.0f} minutes"
