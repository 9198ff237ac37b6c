"""Clips -> one vector per utterance, of mono sound at 16 kHz [3.3.2].

Writes audio.h5: features float32 [N, D] and, where the encoder names them, feature_name [D]; D is 6373
for openSMILE's functionals of ComParE_2016.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from pipeline import runtime
from pipeline.encoders.audio import AudioEncoder
from pipeline.encoders.audio_vectors import describe_audio_of_dialogue
from pipeline.encoders.encoder import runs_network
from pipeline.encoders.weights import find_encoder
from pipeline.manifest import by_dialogue, read_media
from pipeline.media.clips import audio_clip
from pipeline.params import read_params
from pipeline.work.stagefile import ExtractionStage, no_vectors, run_extraction, write_unused

KINDS = "pipeline.encoders.audio"


def main(corpus: str) -> None:
    """Write ``data/<corpus>/audio.h5``."""
    params = read_params().corpus(corpus)
    if "audio" not in params.modalities:
        return write_unused("audio", corpus)
    media = read_media(Path("data", corpus, "media.csv"))
    encoder: AudioEncoder = find_encoder(KINDS, corpus, params, "audio")
    print(f"audio: {encoder.description}", flush=True)
    network = runs_network(encoder)
    stage = ExtractionStage(
        name="audio",
        modality="audio",
        function=partial(
            describe_audio_of_dialogue,
            root=params.folder,
            encoder=encoder,
            silence_dbfs=params.audio.silence_dbfs,
            channels=params.audio.channels,
        ),
        inputs=lambda dialogue, clips: [clip.key for clip in clips],
        settings={"params": params.audio.model_dump(mode="json", exclude={"encoder"}), **encoder.settings},
        libraries=(*encoder.libraries, "av", "numpy"),
        empty=no_vectors(encoder.dimension) | ({"device": np.empty(0, str)} if network else {}),
        about={"encoder": encoder.description},
        workers=runtime.model_workers() if network else runtime.workers(),
        extra={"feature_name": np.array(encoder.feature_names)} if encoder.feature_names else {},
    )
    dialogues = {name: [audio_clip(row) for row in rows] for name, rows in by_dialogue(media).items()}
    run_extraction(corpus, stage, dialogues, [row.id for row in media], params.max_unobserved.audio)
