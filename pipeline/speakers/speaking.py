"""How sure it is that a mouth makes the sound that is heard.

The score of a track, 0 to 1, is agreement times amount:

- *agreement*: Pearson's correlation of the mouth's motion with how fast the loudness changes, at the delay of
  the sound that suits it best, from 100 ms ahead of the lips to 140 ms behind them; less one standard error
  (Fisher's z), so that few frames count less.  A mouth that chews or laughs moves, but not with the sound.
- *amount*: a mouth that moves no more than noise does not speak, one that moves clearly may (the two
  thresholds of Everingham, Sivic and Zisserman, BMVC 2006, who went by the amount alone).
"""

from __future__ import annotations

import numpy as np

from pipeline.speakers.loudness import Loudness

LEAST_SCORE = 0.2
"""Below, nobody is taken for the speaker: in ``python -m benchmarks.speaker`` nearly all speakers lie above,
and most who are seen while somebody else is heard lie below."""

_DELAYS_S = np.arange(-0.10, 0.141, 0.02)
"""Of the sound."""
_LEAST_FRAMES = 15
_STILL, _MOVING = 0.08, 0.16
"""Mean motion in standard deviations of the face: amounts 0 and 1."""


def score(times_s: np.ndarray, motion: np.ndarray, loudness: Loudness) -> float:
    """The score of a mouth's motion [n] at these times, on the loudness's clock; 0 where it is too short."""
    if len(motion) < _LEAST_FRAMES or not np.isfinite(times_s).all():
        return 0.0
    amount = float(np.clip((motion.mean() - _STILL) / (_MOVING - _STILL), 0, 1))
    best = max(correlate(motion, loudness.change_at(times_s + delay_s)) for delay_s in _DELAYS_S)
    standard_error = 1 / np.sqrt(len(motion) - 3)
    return amount * max(0.0, float(np.tanh(np.arctanh(min(best, 0.999)) - standard_error)))


def correlate(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation; 0 where either does not change."""
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / norm if norm > 0 else 0.0
