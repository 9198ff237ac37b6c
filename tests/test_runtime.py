from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.runtime import checkpoint_root, store_root


def test_a_queued_experiment_shares_the_projects_store_and_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)
    queued = tmp_path / ".dvc" / "tmp" / "exps" / "tmp8rkgryt2"  # where DVC runs it
    queued.mkdir(parents=True)
    for folder in (tmp_path, queued):
        monkeypatch.chdir(folder)
        assert store_root() == tmp_path / ".multiemo" / "store"
        assert checkpoint_root() == tmp_path / ".multiemo" / "checkpoints"
