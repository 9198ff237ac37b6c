"""Modules that are found by their name in a package: subcommands, exports."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path


def list_modules(package: str) -> dict[str, str]:
    """Name of each module in a package, and the first line of its docstring; none of them is imported.

    Packages inside of the package and modules whose name begins with ``_`` are left out.
    """
    spec = find_spec(package)
    assert spec is not None, f"there is no package {package}"
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return {path.stem: _first_line(path) for folder in folders for path in sorted(folder.glob("[!_]*.py"))}


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    return docstring.partition("\n")[0].replace("``", "").removesuffix(".")
