from __future__ import annotations

import pytest

from pipeline.features.cautions import describe_seen, non_commercial, seen_labels


@pytest.mark.parametrize(
    ("encoder", "corpora"),
    [
        ("HuBERT from superb/hubert-large-superb-er (last layer)", ("IEMOCAP",)),
        ("wav2vec 2.0 from models/wav2vec2-base-superb-er", ("IEMOCAP",)),
        ("iic/emotion2vec_plus_large, imported", ("IEMOCAP", "MELD")),
        ("emotion2vec+ large", ("IEMOCAP", "MELD")),
        ("roberta from tae898/emoberta-base", ("IEMOCAP", "MELD")),
        ("roberta from j-hartmann/emotion-english-distilroberta-base", ("MELD",)),
        ("WavLM from microsoft/wavlm-large", ()),
        ("roberta from FacebookAI/roberta-base, fine-tuned on the training split", ()),
    ],
)
def test_encoders_that_were_trained_on_a_corpus_are_told_by_their_names(
    encoder: str, corpora: tuple[str, ...]
) -> None:
    assert seen_labels(encoder) == corpora
    assert all(corpus in describe_seen(encoder) for corpus in corpora)
    assert bool(describe_seen(encoder)) == bool(corpora)


@pytest.mark.parametrize(
    ("licence", "forbids"),
    [
        ("cc-by-nc-sa-4.0", True), ("cc-by-nc-4.0", True), ("non-commercial", True), ("mit", False),
        ("apache-2.0", False), ("cc-by-sa-3.0", False), ("", False),
    ],
)  # fmt: skip
def test_licences_that_forbid_commercial_use_are_told_by_their_names(licence: str, forbids: bool) -> None:
    assert bool(non_commercial(licence, {"torch": "2"})) is forbids
    assert non_commercial(licence, {"opensmile": "2.6.0"})
