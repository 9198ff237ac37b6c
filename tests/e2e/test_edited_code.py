"""Code that is edited, or checked out, while ``dvc repro`` runs."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Clone

pytestmark = pytest.mark.e2e


def test_a_stage_that_starts_after_an_edit_stops_and_is_kept_as_no_codes_result(clone: Clone) -> None:
    clone.run("dvc", "repro", "code")
    clone.edit("stages/demo.py", 'f"demo: {made.utterances}', 'f"made: {made.utterances}')
    printed = clone.run("dvc", "repro", "--single-item", "demo", check=False)
    assert "demo: error: data/code/demo.txt: the code has changed since dvc repro began; run it" in printed
    assert "demo:" not in (clone.root / "dvc.lock").read_text(encoding="utf-8")
    assert "made: " in clone.run("dvc", "repro", "demo")
