"""What of the project's code a digest tells apart: tried on a small project, and on a copy of this one."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.params import kinds_in
from pipeline.store import code, keys

STAGE = '''"""A stage."""
from pipeline.helper import twice

LIMIT = 3  # a constant


def work(x):
    """Do it."""
    return twice(x) + LIMIT
'''
ITEMS = {
    "an item of faces": ("pipeline.faces.dialogues",),
    "an item of visual, resnet": ("pipeline.encoders.face_vectors", "pipeline.encoders.visual.resnet"),
    "an item of audio, opensmile": ("pipeline.encoders.audio_vectors", "pipeline.encoders.audio.opensmile"),
    "an item of finetune": ("pipeline.encoders.finetuning", "pipeline.encoders.text.transformers"),
    "an item of text": ("pipeline.encoders.text_vectors",),
    "an item of train, multiemo": ("train.loop", "train.multiemo.network"),
}
"""What is kept in the item store, and the modules whose code its keys hold."""
# Whether faces are looked for is for the kind to say.
OF_FACES = {"faces", "visual", "report"}
EVERY_STAGE = set(code.modules_in("stages")) - {"code"}


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    yield
    forget()


def forget() -> None:
    """Let files be read again; what a source does is kept with the source."""
    for name, cached in vars(code).items():
        if hasattr(cached, "cache_clear") and name != "_parse":
            cached.cache_clear()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stage that uses a helper, and two kinds of things."""
    for package in ("pipeline", "stages", "pipeline/kinds"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text('"""Nothing."""\n')
    (tmp_path / "stages/work.py").write_text(STAGE)
    (tmp_path / "pipeline/helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "pipeline/runtime.py").write_text("WORKERS = 2\n")
    for kind in ("one", "other"):
        (tmp_path / f"pipeline/kinds/{kind}.py").write_text("SIZE = 1\n")
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    return tmp_path


def code_digest(*modules: str) -> str:
    forget()
    return code.code_digest(*(modules or ("stages.work",)))


def result_digest(*modules: str) -> str:
    forget()
    return code.result_digest(*(modules or ("stages.work",)))


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("stages/work.py", "# a constant", "# the constant", False),
        ("stages/work.py", "Do it.", "Do the work.", False),
        ("stages/work.py", "    return twice(x)", "\n    return twice( x )", False),
        ("stages/work.py", "def work(x):", "def work(x: int) -> int:", False),
        ("stages/work.py", "LIMIT = 3", "LIMIT: int = 3", False),
        ("stages/work.py", "LIMIT = 3", "LIMIT = 4", True),
        ("pipeline/helper.py", "2 * x", "x * 2", True),
    ],
)
def test_code_counts_and_comments_do_not(project: Path, file: str, old: str, new: str, changes: bool) -> None:
    before = code_digest(), result_digest()
    path = project / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (code_digest() != before[0]) is changes
    assert (result_digest() != before[1]) is changes


@pytest.mark.parametrize(
    "imported",
    [
        "from pipeline.runtime import Count\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pipeline.runtime import Count\n",
    ],
)
def test_an_annotation_brings_no_code_with_it(project: Path, imported: str) -> None:
    before = code_digest(), result_digest()
    annotated = STAGE.replace("def work(x):", "def work(x: Count) -> Count:").replace(
        "LIMIT", imported + "LIMIT", 1
    )
    (project / "stages/work.py").write_text(annotated)
    (project / "pipeline/runtime.py").write_text("Count = int\n")
    assert (code_digest(), result_digest()) == before


def test_annotating_a_variable_changes_nothing_and_in_a_class_it_makes_a_field(project: Path) -> None:
    stage = project / "stages/work.py"
    plain = STAGE + "\n\nclass Limits:\n    most = 3\n\n\ndef other():\n    x = 1\n    return x\n"
    stage.write_text(plain)
    before = code_digest()
    stage.write_text(plain.replace("x = 1", "y: int\n    x: int = 1").replace("LIMIT = 3", "LIMIT: int = 3"))
    assert code_digest() == before
    stage.write_text(plain.replace("most = 3", "most: int = 3"))
    assert code_digest() != before


def test_another_annotation_of_a_variable_changes_nothing(project: Path) -> None:
    (project / "stages/work.py").write_text(STAGE.replace("LIMIT = 3", "LIMIT: int = 3"))
    before = code_digest()
    (project / "stages/work.py").write_text(STAGE.replace("LIMIT = 3", "LIMIT: float | None = 3"))
    assert code_digest() == before


def test_machinery_is_no_part_of_a_result_but_reruns_the_stage(project: Path) -> None:
    stage = project / "stages/work.py"
    uses = "import twice\nfrom pipeline import runtime\nruntime.WORKERS"
    stage.write_text(STAGE.replace("import twice", uses))
    before = code_digest(), result_digest()
    (project / "pipeline/runtime.py").write_text("WORKERS = 8\n")
    assert code_digest() != before[0]
    assert result_digest() == before[1]


def test_a_package_named_in_a_string_stands_for_its_kinds_and_a_module_for_itself(project: Path) -> None:
    stage = project / "stages/work.py"
    stage.write_text(f"{STAGE}\nKINDS = 'pipeline.kinds'\n")
    kinds = {"pipeline.kinds.one", "pipeline.kinds.other"}
    forget()
    assert code.reachable("stages.work") == {"stages.work", "pipeline.helper", *kinds}
    assert code.reachable("stages.work", kinds=False) == {"stages.work", "pipeline.helper"}
    stage.write_text(f"{STAGE}\nMODULE = 'pipeline.kinds.one'\n")
    forget()
    for with_kinds in (True, False):
        assert "pipeline.kinds.one" in code.reachable("stages.work", kinds=with_kinds)
        assert "pipeline.kinds.other" not in code.reachable("stages.work", kinds=with_kinds)


def test_a_kind_changes_the_stage_and_its_own_results_and_none_of_another(project: Path) -> None:
    (project / "stages/work.py").write_text(f"{STAGE}\nKINDS = 'pipeline.kinds'\n")

    def digests() -> list[str]:
        results = [result_digest("stages.work", f"pipeline.kinds.{kind}") for kind in ("one", "other")]
        return [code_digest(), *results]

    before = digests()
    (project / "pipeline/kinds/one.py").write_text("SIZE = 2\n")
    assert [now != then for now, then in zip(digests(), before, strict=True)] == [True, True, False]
    before = digests()
    (project / "pipeline/kinds/third.py").write_text("SIZE = 3\n")
    assert [now != then for now, then in zip(digests(), before, strict=True)] == [True, False, False]


@pytest.mark.parametrize(("imported", "followed"), [("twice as twice", True), ("twice", False)])
def test_what_is_imported_to_be_handed_on_is_followed_and_what_nobody_uses_is_not(
    project: Path, imported: str, followed: bool
) -> None:
    (project / "pipeline/door.py").write_text(f"from pipeline.helper import {imported}\nSIDE = 1\n")
    (project / "stages/work.py").write_text(STAGE.replace("pipeline.helper", "pipeline.door"))
    before = code_digest(), result_digest()
    (project / "pipeline/helper.py").write_text("def twice(x):\n    return x + x\n")
    assert (code_digest() != before[0]) is followed
    assert (result_digest() != before[1]) is followed


def test_what_lies_beside_modules_changes_no_digest(project: Path) -> None:
    before = code_digest()
    (project / "pipeline/.#helper.py").symlink_to("an.editor@a.machine:1")
    (project / "pipeline/half_written.py").write_text("def twice(x:\n")
    assert code_digest() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"[]\n",
        lambda kept: kept[:-9],
        lambda kept: kept.replace(b"pipeline.helper", b"pipeline.helpex"),
    ],
)
def test_what_was_found_in_sources_before_is_found_again_where_its_file_is_damaged(
    project: Path, damage: Callable[[bytes], bytes]
) -> None:
    before = code_digest()
    kept = (project / code.PARSED).read_bytes()
    assert damage(kept) != kept
    (project / code.PARSED).write_bytes(damage(kept))
    assert code_digest() == before
    assert (project / code.PARSED).read_bytes() == kept


def test_code_in_a_linked_folder_counts(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text("SIDE = 1\n")
    (elsewhere / "back").symlink_to(elsewhere)
    (project / "pipeline/linked").symlink_to(elsewhere)
    (project / "pipeline/helper.py").write_text("from pipeline.linked.mine import SIDE\n\nprint(SIDE)\n")
    before = code_digest()
    (elsewhere / "mine.py").write_text("SIDE = 2\n")
    assert code_digest() != before


def test_no_key_is_made_of_code_that_may_have_been_loaded_before_or_after_a_change(project: Path) -> None:
    code_digest()  # as each stage asks when it starts
    (project / "pipeline/helper.py").write_text("def twice(x):\n    return x + x\n")
    with pytest.raises(UserError, match="the code or a library changed while the stage ran"):
        code.result_digest("stages.work")
    assert code.result_digest("pipeline.runtime")


def test_a_relative_import_is_refused_because_it_would_not_be_followed(project: Path) -> None:
    (project / "pipeline/helper.py").write_text("from .runtime import WORKERS\n\nTWICE = 2 * WORKERS\n")
    with pytest.raises(UserError, match=r"pipeline\.helper: relative imports are not followed"):
        code_digest()


def digests() -> dict[str, str]:
    """Of each stage, as DVC depends on it, and of what each kind of item is made by."""
    forget()
    stages = {stage: code.code_digest("stages.__main__", f"stages.{stage}") for stage in EVERY_STAGE}
    return stages | {item: code.result_digest(*modules) for item, modules in ITEMS.items()}


@pytest.fixture(scope="module")
def unchanged() -> dict[str, str]:
    return digests()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this project's code."""
    for package in code.PACKAGES:
        without_bytecode = shutil.ignore_patterns("__pycache__")
        shutil.copytree(code.PROJECT / package, tmp_path / package, ignore=without_bytecode)
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    return tmp_path


class SaidOtherwise(ast.NodeTransformer):
    """The same code with other docstrings and annotations."""

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Lambda):  # its arguments have no annotations
            return node
        self.generic_visit(node)
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant("Anything")
        if isinstance(node, ast.FunctionDef):
            node.returns = ast.Constant("Anything")
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body[0] = ast.Expr(ast.Constant("Said otherwise."))
        return node


def test_what_is_only_said_in_any_module_changes_no_digest(unchanged: dict[str, str], clone: Path) -> None:
    for path in clone.rglob("*.py"):
        tree = SaidOtherwise().visit(ast.parse(path.read_text(encoding="utf-8")))
        said = ast.unparse(ast.fix_missing_locations(tree))
        path.write_text(f"# In other words.\n{said}\n", encoding="utf-8")
    assert digests() == unchanged


@pytest.mark.parametrize(
    ("file", "old", "new", "stages", "item"),
    [
        ("pipeline/faces/detector.py", "0.709", "0.708", {"faces"}, "faces"),
        ("pipeline/encoders/face_vectors.py", "axis=0", "axis=1", {"visual", "report"}, "visual, resnet"),
        ("pipeline/encoders/visual/resnet.py", "= 20", "= 21", OF_FACES | {"weights"}, "visual, resnet"),
        ("pipeline/encoders/audio/opensmile.py", "= 0.2", "= 0.3", {"audio", "weights"}, "audio, opensmile"),
        ("pipeline/encoders/text_vectors.py", "8192", "4096", {"text"}, "text"),
        ("pipeline/encoders/finetuning.py", "=2 * params", "=3 * params", {"finetune"}, "finetune"),
        ("train/networks/multiemo.py", "100)] = 6", "100)] = 5", {"train", "evaluate"}, ""),
        ("train/multiemo/losses.py", "0.5 * (", "0.6 * (", {"train", "evaluate"}, "train, multiemo"),
        ("pipeline/corpora/meld.py", '"train_splits"', '"train_clips"', {"manifest"}, ""),
        ("pipeline/corpora/demo/voice.py", "48_000", "44_100", {"demo"}, ""),
        ("pipeline/report/published.py", 'OURS = "MultiEMO"', 'OURS = "Ours"', {"compare"}, ""),
        ("stages/audio.py", 'name="audio"', 'name="sound"', {"audio"}, ""),
        ("pipeline/errors.py", "(Exception)", "(ValueError)", EVERY_STAGE, ""),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith(".py") else "",
)
def test_a_constant_changes_the_stages_that_reach_it_and_the_items_that_it_makes(
    unchanged: dict[str, str], clone: Path, file: str, old: str, new: str, stages: set[str], item: str
) -> None:
    content = (clone / file).read_text(encoding="utf-8")
    assert old in content
    (clone / file).write_text(content.replace(old, new, 1), encoding="utf-8")
    changed = {name for name, digest in digests().items() if digest != unchanged[name]}
    assert changed == stages | ({f"an item of {item}"} if item else set())


def test_a_kind_that_was_added_leaves_every_stored_item_to_be_found(
    unchanged: dict[str, str], clone: Path
) -> None:
    for modality, stages in (("audio", {"audio"}), ("visual", OF_FACES), ("text", {"finetune"})):
        (clone / f"pipeline/encoders/{modality}/later.py").write_text(
            "from pipeline import manifest as manifest\n"
        )
        changed = {name for name, digest in digests().items() if digest != unchanged[name]}
        assert changed == stages | {"weights"}
        (clone / f"pipeline/encoders/{modality}/later.py").unlink()


@pytest.mark.parametrize("changed", [{"code": "c2"}, {"versions": {"torch": "3"}}, {"clips": [["d1", ""]]}])
def test_whatever_defines_a_result_changes_its_key(changed: dict) -> None:
    inputs = {"code": "c1", "versions": {"torch": "2"}, "clips": [["d0", ""]]}
    assert keys.work_key("faces", **inputs) == keys.work_key("faces", **inputs)
    assert keys.work_key("faces", **inputs) != keys.work_key("faces", **(inputs | changed))
    assert keys.work_key("faces", **inputs) != keys.work_key("visual", **inputs)


def test_the_versions_of_ffmpegs_own_libraries_count_with_pyavs() -> None:
    versions = keys.library_versions("av", "numpy")
    assert {"av", "numpy", "libavcodec", "libavformat", "libswresample", "libswscale"} <= versions.keys()
    assert all(version[0].isdigit() for version in versions.values())
    assert set(keys.library_versions("numpy")) == {"numpy"}


@pytest.mark.parametrize(
    "module",
    [
        *(
            f"stages.{stage}"
            for stage in ("code", "manifest", "weights", "audio", "features", "join", "demo")
        ),
        *(f"pipeline.encoders.audio.{kind}" for kind in kinds_in("pipeline.encoders.audio")),
        *(f"pipeline.encoders.text.{kind}" for kind in kinds_in("pipeline.encoders.text")),
        *(f"pipeline.encoders.visual.{kind}" for kind in kinds_in("pipeline.encoders.visual")),
    ],
)
def test_what_does_not_use_torch_does_not_import_it(module: str) -> None:
    script = (
        f"import sys, {module}; sys.exit(bool({{'torch', 'transformers', 'opensmile'}} & {{*sys.modules}}))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
