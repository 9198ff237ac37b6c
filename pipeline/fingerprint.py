"""The key of a piece of work: everything that defines its result, and nothing else.

Inputs, params, digests of weights and versions of libraries enter by value.  Code enters as the
syntax tree of the stage's own modules without docstrings and comments, so that a comment costs
nothing and a change is never missed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipeline", "stages", "train")

# Modules that say where and how work is done and kept; what they hand on enters a key by value.
MACHINERY = frozenset(
    f"pipeline.{name}"
    for name in (
        *("errors", "params", "runtime", "manifest", "digest", "weights"),
        *("fingerprint", "h5", "itemstore", "extraction", "engine", "progress", "stagefile", "features"),
        "torchrun",
    )
)


def work_key(stage: str, *, code: str, versions: Mapping[str, str], **inputs: Any) -> str:
    """SHA-256 over everything that defines an item; ``inputs`` must be JSON values."""
    whole = {"stage": stage, "code": code, "versions": versions, "inputs": inputs}
    canonical = json.dumps(whole, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def code_digest(module: str) -> str:
    """SHA-256 over the code of a module and of all it imports from the project, machinery left out."""
    digest = hashlib.sha256()
    for name in sorted(project_imports(module) - MACHINERY):
        digest.update(f"{name}\n{''.join(_dump(_syntax_tree(name)))}\n".encode())
    return digest.hexdigest()


@cache
def source_digest(module: str) -> str:
    """SHA-256 over the files of a module and of all it imports from the project, as they are on disk."""
    digest = hashlib.sha256()
    for name in sorted(project_imports(module)):
        path = module_path(name)
        digest.update(f"{name}\n{path.read_text(encoding='utf-8') if path else ''}\n".encode())
    return digest.hexdigest()


@cache
def project_imports(module: str) -> frozenset[str]:
    """The module itself and every module of the project that it imports, directly or not.

    Packages are listed where their ``__init__`` holds code.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or not _syntax_tree(name).body:
            continue
        found.add(name)
        waiting += _direct_imports(name)
    return frozenset(found)


def library_versions(*distributions: str) -> dict[str, str]:
    """Installed versions, without the build's tag (2.12.1+cpu and 2.12.1+cu130 are one version)."""
    return {name: importlib.metadata.version(name).partition("+")[0] for name in distributions}


def module_path(module: str) -> Path | None:
    """The file of a module of the project; None if there is no such module."""
    path = PROJECT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _direct_imports(module: str) -> Iterator[str]:
    for node in ast.walk(_syntax_tree(module)):
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
                yield from (prefix for prefix in prefixes if module_path(prefix))


@cache
def _syntax_tree(module: str) -> ast.Module:
    path = module_path(module)
    if path is None:
        raise ModuleNotFoundError(f"{module} is no module of the project")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
    return tree


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, of a module, class, function or, below an assignment, of an attribute."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


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
