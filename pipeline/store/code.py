"""Digests of the project's own code: what a stage or a result can depend on, and nothing that is only said.

Code counts as the syntax tree of a module and of all that it imports, without comments, docstrings and
type annotations, and without imports that nothing else needs.  What is imported by name counts too: a
string that names a module stands for that module, one that names a package for all modules in it, such
as the kinds of an encoder.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "stages", "train")

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


@cache  # once: code that is loaded stays
def newest_change_ns() -> int:
    """When a module of the project was last written or put in place, which no program can set back.

    Where that is known to be no later than a digest was made, the digest need not be made again.
    """
    files = chain.from_iterable(PROJECT.joinpath(package).rglob("*.py") for package in PACKAGES)
    return max(file.stat().st_ctime_ns for file in files)


@cache
def result_digest(*modules: str) -> str:
    """SHA-256 over the code that makes a result: of modules and of all that they import.

    Kinds are left out, but for those that are given, so that a new one changes no result of the others.
    """
    return _digest(reachable(*modules, kinds=False) - NO_PART_OF_RESULTS)


@cache
def reachable(*modules: str, kinds: bool = True) -> frozenset[str]:
    """The modules themselves and every module of the project that they use, directly or not.

    ``kinds``: whether a package that is named in a string stands for all modules in it.  Packages are
    listed where their ``__init__`` holds code.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or not _what_is_done(_source(name)).tree.body:
            continue
        found.add(name)
        waiting += _direct_imports(name)
        waiting += _named_modules(name, kinds)
    return frozenset(found)


def module_path(module: str) -> Path | None:
    """The file of a module of the project; None if there is no such module."""
    path = PROJECT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def modules_in(package: str) -> list[str]:
    """Names, without the package's, of the modules in a package of the project; not of packages in it."""
    folder = PROJECT.joinpath(*package.split("."))
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))


def _digest(modules: frozenset[str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(f"{name}\n{_what_is_done(_source(name)).text}\n".encode())
    return digest.hexdigest()


@cache
def _direct_imports(module: str) -> list[str]:
    found: list[str] = []
    for node in _what_is_done(_source(module)).nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"{module}: relative imports are not followed; name the module in full")
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] in PACKAGES:
                # Importing a.b.c runs a and a.b too.
                prefixes = (".".join(parts[: end + 1]) for end in range(len(parts)))
                found += [prefix for prefix in prefixes if module_path(prefix)]
    return found


@cache
def _named_modules(module: str, kinds: bool) -> list[str]:
    found: list[str] = []
    for node in _what_is_done(_source(module)).nodes:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        name = node.value
        first, *rest = name.split(".")
        if first not in PACKAGES or not rest or not all(map(str.isidentifier, rest)):
            continue
        path = module_path(name)
        if path is not None and path.name != "__init__.py":
            found.append(name)
        elif path is not None and kinds:
            found += [name, *(f"{name}.{each}" for each in modules_in(name))]
    return found


class _Code(NamedTuple):
    """What a module does, without what it only says."""

    tree: ast.Module
    nodes: tuple[ast.AST, ...]
    text: str


@cache
def _source(module: str) -> str:
    path = module_path(module)
    if path is None:
        raise ModuleNotFoundError(f"{module} is no module of the project")
    return path.read_text(encoding="utf-8")


@cache
def _what_is_done(source: str) -> _Code:
    tree = ast.parse(source)
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
    return _Code(tree, tuple(ast.walk(tree)), "".join(_dump(tree)))


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
