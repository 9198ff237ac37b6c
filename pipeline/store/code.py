"""Digests of the project's own code: what a stage or a result can depend on, and nothing that is only said.

Code counts as the syntax tree of a module and of all that it imports, without comments, docstrings and
type annotations, and without imports that nothing else needs.  What is imported by name counts too: a
string that names a module stands for that module, one that names a package for all modules in it, such
as the kinds of an encoder.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import UserError
from pipeline.store.sealed_json import read_sealed, write_sealed

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "stages", "train")
# What was found in each source, by its digest, so that only a changed one is parsed: all take most of a
# second of a core, and each stage and each worker process asks.
PARSED = Path(".multiemo", "code.json")
_PARSER = Path(__file__).read_bytes() + sys.version.encode()
_NAME = re.compile(rf"({'|'.join(PACKAGES)})(\.[^\W\d]\w*)+")

CHANGED = "the code or a library changed while the stage ran; run dvc repro again"

# They decide whether, where and by how many work is done, tell how it goes, and read and write what enters a
# key by its own digest. What they hand on to those who do the work enters a key by value.
NO_PART_OF_RESULTS = frozenset(
    {
        *("pipeline.errors", "pipeline.params", "pipeline.params_file.first_version"),
        *("pipeline.params_file.reading", "pipeline.runtime", "pipeline.work.progress"),
        *("pipeline.features", "pipeline.features.file", "pipeline.store.h5", "train.checkpoint"),
    }
)


@cache
def code_digest(*modules: str) -> str:
    """SHA-256 over the code of modules and of everything that they can reach: what DVC depends on."""
    return _digest(reachable(*modules))


@cache
def result_digest(*modules: str) -> str:
    """SHA-256 over the code that makes a result: of modules and of all that they import.

    Kinds are left out, but for those that are given, so that a new one changes no result of the others, and
    what is imported only by modules that have no part in results.  UserError, as ``check_unchanged``.
    """
    reached = reachable(*modules, kinds=False, without=NO_PART_OF_RESULTS)
    check_unchanged(reached)
    return _digest(reached)


def check_unchanged(modules: frozenset[str]) -> None:
    """UserError where modules are others on disk than when the first was asked for.

    They may have been loaded before or after that change, so that no digest is sure to be theirs.
    """
    now = _read_modules()
    if any(now.get(name) != _modules().get(name) for name in modules):
        raise UserError(CHANGED)


@cache
def reachable(*modules: str, kinds: bool = True, without: frozenset[str] = frozenset()) -> frozenset[str]:
    """The modules themselves and every module of the project that they use, directly or not.

    ``kinds``: whether a package that is named in a string stands for all modules in it.  ``without``: modules
    that are passed over.  Packages are listed where their ``__init__`` holds code.
    """
    known, found = _modules(), set[str]()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        code = _find(name)
        if name in found or name in without or not code.digest:
            continue
        found.add(name)
        for imported in code.imports:
            if imported.startswith("."):
                raise UserError(f"{name}: relative imports are not followed; name the module in full")
            parts = imported.split(".")
            # Importing a.b.c runs a and a.b too.
            prefixes = (".".join(parts[: end + 1]) for end in range(len(parts)))
            waiting += [prefix for prefix in prefixes if prefix in known]
        for named in code.names:
            if named in known and not known[named].is_package:
                waiting.append(named)
            elif named in known and kinds:
                waiting += [named, *(f"{named}.{each}" for each in modules_in(named))]
    return frozenset(found)


def modules_in(package: str) -> list[str]:
    """Names, without the package's, of the modules in a package of the project; not of packages in it."""
    names = (path.stem for path in PROJECT.joinpath(*package.split(".")).glob("*.py"))
    return sorted(name for name in names if name.isidentifier() and not name.startswith("__"))


def _digest(modules: frozenset[str]) -> str:
    listed = "".join(f"{name} {_find(name).digest}\n" for name in sorted(modules))
    return hashlib.sha256(listed.encode()).hexdigest()


class _Code(NamedTuple):
    """What a module does, without what it only says."""

    digest: str
    """Empty where it does nothing."""
    imports: list[str]
    """What it imports of the project, modules and what is in them; a relative one begins with a dot."""
    names: list[str]
    """Strings in it that may name a module or a package of the project."""
    is_package: bool = False


_Parsed = tuple[str, list[str], list[str]]
"""Digest, imports and names of a ``_Code``."""


@cache
def _find(name: str) -> _Code:
    """A module of the packages, or one that is beside them, whose function is worked with: a test's."""
    path = PROJECT.joinpath(*name.split(".")).with_suffix(".py")
    if name in _modules():
        return _modules()[name]
    if not path.is_file():
        raise ModuleNotFoundError(f"{name} is no module of the project")
    return _Code(*_parse(path.read_bytes()))


@cache  # once: code that is loaded stays
def _modules() -> dict[str, _Code]:
    """Every module and package of the project, as they are on disk when the first of them is asked for."""
    return _read_modules()


def _read_modules() -> dict[str, _Code]:
    sources: dict[Path, bytes] = {}
    for path in chain.from_iterable(_files(PROJECT / package) for package in PACKAGES):
        # What an editor puts beside a module is none, such as .#module.py; a module may go meanwhile.
        if path.suffix == ".py" and path.stem.isidentifier():
            with suppress(FileNotFoundError):
                sources[path] = path.read_bytes()
    kept = read_sealed(PROJECT / PARSED)
    parsed: dict[str, _Parsed] = {}
    modules = {}
    for path, source in sources.items():
        digest = hashlib.sha256(_PARSER + source).hexdigest()
        parsed[digest] = kept.get(digest) or _parse(source)
        is_package = path.stem == "__init__"
        place = (path.parent if is_package else path.with_suffix("")).relative_to(PROJECT)
        modules[".".join(place.parts)] = _Code(*parsed[digest], is_package)
    if parsed.keys() != kept.keys():
        # Where it cannot be written, the next process parses, too.
        with suppress(UserError):
            write_sealed(PROJECT / PARSED, parsed)
    return modules


def _files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files below a folder, in linked folders too, as Python imports from those."""
    real = folder.resolve()
    if real not in above:  # a link may lead back
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                yield from _files(path, (*above, real))
            else:
                yield path


@cache
def _parse(source: bytes) -> _Parsed:
    try:
        tree = _without_what_is_said(ast.parse(source))
    except (SyntaxError, ValueError):  # it can be no part of what runs
        return hashlib.sha256(source).hexdigest(), [], []
    text = "".join(_dump(tree)) if tree.body else ""
    imports, names = list[str](), list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            imports += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.append(node.value)
    return (
        hashlib.sha256(text.encode()).hexdigest() if text else "",
        sorted({name for name in imports if name.partition(".")[0] in (*PACKAGES, "")}),
        sorted({name for name in names if _NAME.fullmatch(name)}),
    )


def _without_what_is_said(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not (_is_text(part) or _is_for_type_checkers(part))]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    nodes = list(ast.walk(tree))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [alias for alias in node.names if _is_needed(alias, used)]
    for node in nodes:
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                kept = [part for part in block if not _is_empty_import(part)]
                # In a class an annotation may make a field, so that having one is more than saying something.
                plain = kept if isinstance(node, ast.ClassDef) else [*chain(*map(_as_assignment, kept))]
                setattr(node, name, plain)
    return tree


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, of a module, class, function or, below an assignment, of an attribute."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    """``if TYPE_CHECKING:``, whose body never runs."""
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Name)
        and statement.test.id == "TYPE_CHECKING"
        and not statement.orelse
    )


def _is_needed(alias: ast.alias, used: set[str]) -> bool:
    """Whether code uses an imported name, or hands it on, as ``import x as x`` says."""
    bound = alias.asname or alias.name.partition(".")[0]
    return bound in used or alias.name == alias.asname


def _as_assignment(node: ast.AST) -> list[ast.AST]:
    """``x: int = 1`` as ``x = 1``, and ``x: int`` as nothing; everything else as it is."""
    if not isinstance(node, ast.AnnAssign):
        return [node]
    return [ast.Assign([node.target], node.value)] if node.value else []


def _is_empty_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom) and not node.names


def _dump(node: Any) -> Iterator[str]:
    """A syntax tree as text, without positions and empty fields, which differ between Pythons."""
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if value is not None and value != []:
                yield f"{name}="
                yield from _dump(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for part in node:
            yield from _dump(part)
        yield "]"
    else:
        yield f"{node!r},"
