from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.store import code, keys

STAGE = '''"""A stage."""
from pipeline.helper import twice

LIMIT = 3  # a constant


def work(x):
    """Do it."""
    return twice(x) + LIMIT
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for package in ("pipeline", "stages"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text('"""Nothing."""\n')
    (tmp_path / "stages/work.py").write_text(STAGE)
    (tmp_path / "pipeline/helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "pipeline/runtime.py").write_text("WORKERS = 2\n")
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    return tmp_path


def digest() -> str:
    for cached in (code.result_digest, code.reachable, code._syntax_tree):
        cached.cache_clear()
    return code.result_digest("stages.work")


@pytest.fixture(autouse=True)
def fresh_caches():
    yield
    for cached in (code.result_digest, code.reachable, code._syntax_tree):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("stages/work.py", "# a constant", "# the constant", False),
        ("stages/work.py", "Do it.", "Do the work.", False),
        ("stages/work.py", "    return twice(x)", "\n    return twice( x )", False),
        ("stages/work.py", "LIMIT = 3", "LIMIT = 4", True),
        ("pipeline/helper.py", "2 * x", "x * 2", True),
    ],
)
def test_code_counts_and_comments_do_not(project: Path, file: str, old: str, new: str, changes: bool) -> None:
    before = digest()
    path = project / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (digest() != before) is changes


def test_machinery_is_no_part_of_a_result(project: Path) -> None:
    stage = project / "stages/work.py"
    stage.write_text(STAGE.replace("import twice", "import twice\nfrom pipeline import runtime"))
    before = digest()
    (project / "pipeline/runtime.py").write_text("WORKERS = 8\n")
    assert digest() == before


@pytest.mark.parametrize("changed", [{"code": "c2"}, {"versions": {"torch": "3"}}, {"clips": [["d1", ""]]}])
def test_whatever_defines_a_result_changes_its_key(changed: dict) -> None:
    inputs = {"code": "c1", "versions": {"torch": "2"}, "clips": [["d0", ""]]}
    assert keys.work_key("faces", **inputs) == keys.work_key("faces", **inputs)
    assert keys.work_key("faces", **inputs) != keys.work_key("faces", **(inputs | changed))
    assert keys.work_key("faces", **inputs) != keys.work_key("visual", **inputs)


@pytest.mark.parametrize("stage", ["params", "manifest", "audio", "features"])
def test_light_stages_do_not_import_torch(stage: str) -> None:
    script = f"import sys, stages.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
