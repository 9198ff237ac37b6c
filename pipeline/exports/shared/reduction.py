"""Fewer dimensions for code that expects a fixed width: PCA, fitted on the training split.

Features are first standardised as the trainer does, because openSMILE's reach 1e13 and one of them
would be all that PCA sees.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import Features, ModalityFeatures
from pipeline.features.standardisation import (
    ROWS_AT_ONCE,
    fit_standardisation,
    observed_features,
    standardise,
    training_rows,
)
from pipeline.store.atomic import write_atomically
from pipeline.store.h5 import content_digest


@dataclass(frozen=True)
class Reduction:
    """From D to K dimensions: ``(((x - mean) * scale).clip(+-CLIP_STD) - centre) @ components.T``."""

    mean: np.ndarray
    """float64 [D]"""
    scale: np.ndarray
    """float64 [D]: 1 / standard deviation; 0 for a feature that is constant in training."""
    centre: np.ndarray
    """float64 [D]: mean of what was cut off, so nearly 0."""
    components: np.ndarray
    """float64 [K, D]: unit vectors, by falling explained variance."""
    explained_variance_ratio: np.ndarray
    """float64 [K]: share of the standardised features' variance."""

    def apply(self, modality: ModalityFeatures) -> ModalityFeatures:
        """Features [N, K], zero where not observed."""
        reduced = np.zeros((len(modality.features), len(self.components)), np.float32)
        for start in range(0, len(reduced), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            standard = standardise(modality.features[rows], self.mean, self.scale) - self.centre
            reduced[rows] = np.where(modality.observed[rows, None], standard @ self.components.T, 0)
        return replace(modality, features=reduced, feature_name=None, digest=None)

    @property
    def digest(self) -> str:
        """SHA-256 of its arrays."""
        return content_digest(vars(self), {})

    def __str__(self) -> str:
        share = 100 * self.explained_variance_ratio.sum()
        return f"{len(self.mean)} to {len(self.components)} dimensions, {share:.1f} % of the variance"


def fit_reduction(features: Features, name: str, dimension: int) -> Reduction:
    """PCA of a modality; the same features give the same result on the same machine.

    UserError if the training split has not as many observed utterances, or the modality not as many
    dimensions, as are asked for.
    """
    from sklearn.decomposition import PCA  # slow to import, and seldom needed

    rows = observed_features(features, name, training_rows(features))
    if dimension > min(rows.shape):
        raise UserError(
            f"--reduce {name}={dimension}: PCA gives no more dimensions than the features have"
            f" ({rows.shape[1]}) or the training split observed utterances ({rows.shape[0]});"
            f" ask for at most {min(rows.shape)}"
        )
    statistics = fit_standardisation(features, [name])
    mean, scale = statistics.mean[name], statistics.scale[name]
    # The seed is for the randomised solver, which PCA takes where the matrix is large.
    pca = PCA(dimension, random_state=0).fit(standardise(rows, mean, scale))
    return Reduction(mean, scale, pca.mean_, pca.components_, pca.explained_variance_ratio_)


def reduce_features(features: Features, name: str, reduction: Reduction) -> Features:
    """The features with a modality reduced, of which the provenance tells.

    Other data give other dimensions of the same number: a model knows its own by the digest.
    """
    provenance = features.provenance
    encoder = provenance.get("encoders", {}).get(name, "an unknown encoder")
    source = provenance.get("sources", {}).get(name, {})
    told = {"dimensions": len(reduction.components), "sha256": reduction.digest}
    return replace(
        features,
        modalities=features.modalities | {name: reduction.apply(features.modalities[name])},
        provenance=provenance
        | {
            "encoders": provenance.get("encoders", {})
            | {name: f"{encoder}, reduced to {told['dimensions']} dimensions by PCA"},
            "sources": provenance.get("sources", {})
            | {name: source | {"settings": source.get("settings", {}) | {"reduction": told}}},
        },
        digest="",
    )


def write_reduction(path: Path, reduction: Reduction) -> None:
    """Write the arrays of a reduction as ``.npz``, by their names in ``Reduction``."""
    content = io.BytesIO()
    np.savez(content, **vars(reduction))
    write_atomically(path, content.getbuffer())
