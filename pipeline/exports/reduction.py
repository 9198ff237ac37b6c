"""Fewer dimensions for code that expects a fixed width: PCA, fitted on the training split.

Features are first brought to mean 0 and standard deviation 1 over the observed training utterances,
and cut off at ``CLIP_STD``, because openSMILE's reach 1e13 and one of them would be all that PCA sees.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.features.file import Features, ModalityFeatures
from pipeline.store.atomic import write_atomically

CLIP_STD = 10.0
"""As the trainer does with unreduced features."""

_ROWS_AT_ONCE = 1024  # bounds the float64 copies


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
        for start in range(0, len(reduced), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            standard = _standardise(modality.features[rows], self.mean, self.scale) - self.centre
            reduced[rows] = np.where(modality.observed[rows, None], standard @ self.components.T, 0)
        return replace(modality, features=reduced, feature_name=None, digest=None)


def fit_reduction(features: Features, name: str, dimension: int) -> Reduction:
    """PCA of a modality; the same features give the same result on the same machine.

    UserError if the training split has not as many observed utterances, or the modality not as many
    dimensions, as are asked for.
    """
    from sklearn.decomposition import PCA  # slow to import, and seldom needed

    modality = features.modalities[name]
    rows = modality.features[modality.observed & (features.split == "train")]
    if dimension > min(rows.shape):
        raise UserError(
            f"--reduce {name}={dimension}: PCA gives no more dimensions than the features have"
            f" ({rows.shape[1]}) or the training split observed utterances ({rows.shape[0]});"
            f" ask for at most {min(rows.shape)}"
        )
    mean = rows.mean(axis=0, dtype=np.float64)
    std = rows.std(axis=0, dtype=np.float64)
    # A spread below the resolution of float32 is rounding, not information.
    varies = std > np.finfo(np.float32).eps * np.abs(rows).max(axis=0).astype(np.float64)
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=varies)
    # The seed is for the randomised solver, which PCA takes where the matrix is large.
    pca = PCA(dimension, random_state=0).fit(_standardise(rows, mean, scale))
    return Reduction(mean, scale, pca.mean_, pca.components_, pca.explained_variance_ratio_)


def write_reduction(path: Path, reduction: Reduction) -> None:
    """Write the arrays of a reduction as ``.npz``, by their names in ``Reduction``."""
    image = io.BytesIO()
    np.savez(image, **vars(reduction))
    write_atomically(path, image.getbuffer())


def _standardise(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return ((rows.astype(np.float64) - mean) * scale).clip(-CLIP_STD, CLIP_STD)
