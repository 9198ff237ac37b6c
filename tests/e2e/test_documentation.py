"""What the documents tell a user to type, typed into a clone in which ``dvc repro`` has run."""

from __future__ import annotations

import pytest

from tests.documentation import Block, runnable_blocks
from tests.e2e.conftest import Clone

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("block", runnable_blocks(), ids=lambda block: f"{block.document}-line-{block.line}")
def test_a_block_that_is_marked_as_runnable_runs(finished: tuple[Clone, str], block: Block) -> None:
    clone = finished[0]
    # The console script may be of another checkout; its modules are to be the clone's.
    clone.run("env", f"PYTHONPATH={clone.root}", *block.command)
    clone.run("git", "clean", "--force", "-d", "--quiet")
