"""Mean ranks and Nemenyi's critical difference."""

from __future__ import annotations

import pytest

from pipeline.report.ranks import rank_models


def test_the_critical_difference_is_that_of_demsars_example():
    """Four classifiers on 14 data sets: 1.25 (Demšar, JMLR 7, 2006, section 3.2.2)."""
    scores = {name: {block: float(name) for block in range(14)} for name in "1234"}
    ranks = rank_models(scores)
    assert ranks is not None
    assert ranks.critical_difference == pytest.approx(1.25, abs=0.005)
    assert ranks.mean == {"4": 1, "3": 2, "2": 3, "1": 4}
    assert list(ranks.mean) == ["4", "3", "2", "1"]


def test_equal_scores_share_their_ranks_and_models_without_the_firsts_blocks_have_none():
    scores = {
        "a": {0: 60.0, 1: 50.0},
        "b": {0: 60.0, 1: 55.0},
        "c": {0: 10.0, 1: 50.0, 3: 99.0},
        "d": {0: 9.0},
    }
    ranks = rank_models(scores)
    assert ranks is not None
    assert (ranks.blocks, ranks.mean) == (2, {"b": 1.25, "a": 2.0, "c": 2.75})


@pytest.mark.parametrize(
    "scores", [{}, {"a": {0: 1.0, 1: 2.0}, "b": {0: 1.0, 1: 2.0}}, {name: {0: 1.0} for name in "abc"}]
)
def test_two_models_or_one_block_are_not_ranked(scores):
    assert rank_models(scores) is None
