"""YAML as params.yaml has it: mappings, lists, text, numbers, true, false and null, within bounds.

YAML can hold far more: dates, tags that call code, keys of any kind, aliases by which a few lines stand for
a billion, depth that exhausts a stack.  Whatever is none of the above is refused by key and line before it
is built, and no file takes longer than about a second.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from pipeline.errors import UserError, shorten

# A comparison of 200 models with ten keys each takes a tenth of this.
MOST_BYTES = 256 * 1024
MOST_NODES = 10_000
"""Keys and values as they are written; ruamel.yaml reads about as many in a second."""
MOST_EXPANDED_NODES = 20_000
"""With those that aliases stand for."""
MOST_LEVELS = 20
LONGEST_TEXT = 4096
"""As long as the longest path."""
LONGEST_NUMBER = 64

# What is no text in a path, a name or a choice: line ends too.
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_YAML = "tag:yaml.org,2002:"
_KINDS = {f"{_YAML}{kind}" for kind in ("str", "int", "float", "bool", "null")}
_NAMES = {
    "timestamp": "a date",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}


class _Extent(NamedTuple):
    nodes: int
    levels: int


class _BoundedComposer(Composer):
    """Stops where a document exceeds the bounds, before it is read to its end."""

    nodes = levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.nodes += 1
        self.levels += 1
        if self.nodes > MOST_NODES:
            raise UserError(f"holds more than {MOST_NODES:,} keys and values")
        if self.levels > MOST_LEVELS:
            line = self.parser.peek_event().start_mark.line + 1
            raise UserError(f"nested deeper than {MOST_LEVELS} levels (line {line})")
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; UserError, in one line that names the key, for what params cannot be.

    Values are those that DVC reads, whose library this is.
    """
    text = _read_text(path)
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _BoundedComposer
    yaml.composer.warn_double_anchors = False  # in words for programmers
    try:
        node = yaml.compose(text)
        if node is None:
            return None
        _Check(yaml).extent(node, ())
        return yaml.constructor.construct_document(node)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        said = ": ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"{path}: {place}not valid YAML: {' '.join(said.split())}") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"holds the character U+{error.character:04X}, which YAML does not allow (line {line})"
        raise UserError(f"{path}: {what}") from None
    except (YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Of the latter the library raises some on what it did not foresee.
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def _read_text(path: Path) -> str:
    if not path.exists():
        raise UserError(f"{path} not found: run from the folder that holds dvc.yaml")
    if not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path}: is no file")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"{path}: is larger than {MOST_BYTES // 1024} kB; params are a few pages of text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x}"
        raise UserError(f"{path}: line {line}: {byte} is not UTF-8: save the file as UTF-8") from None


class _Check:
    """Of the nodes of a document, before anything is made of them."""

    def __init__(self, yaml: YAML) -> None:
        self._yaml = yaml
        self._known: dict[int, _Extent | None] = {}

    def extent(self, node: Node, keys: tuple[str, ...]) -> _Extent:
        """How much a node stands for; UserError, by ``keys`` and line, where it is none of params.yaml's."""
        if id(node) in self._known:
            known = self._known[id(node)]
            if known is None:
                raise _mistake(node, keys, "stands within itself by an alias (*)")
            return known
        self._known[id(node)] = None
        parts = [_Extent(0, 0)]
        if isinstance(node, ScalarNode):
            self._check_scalar(node, keys)
        elif node.tag != f"{_YAML}{'map' if isinstance(node, MappingNode) else 'seq'}":
            raise _mistake(node, keys, f"has the tag {node.tag}: write it without a tag")
        elif isinstance(node, SequenceNode):
            parts += [self.extent(each, (*keys, str(place))) for place, each in enumerate(node.value)]
        else:
            for name, value in self._pairs(node, keys):
                parts.append(self.extent(value, (*keys, name)))
        found = _Extent(1 + sum(part.nodes for part in parts), 1 + max(part.levels for part in parts))
        if found.nodes > MOST_EXPANDED_NODES:
            raise _mistake(node, keys, f"stands for more than {MOST_EXPANDED_NODES:,} values by aliases (*)")
        if found.levels > MOST_LEVELS:
            raise _mistake(node, keys, f"nested deeper than {MOST_LEVELS} levels by aliases (*)")
        self._known[id(node)] = found
        return found

    def _pairs(self, node: Node, keys: tuple[str, ...]) -> list[tuple[str, Node]]:
        pairs: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise _mistake(key, keys, "has a key that is a list or a mapping: write text")
            if key.tag != f"{_YAML}merge":
                self._check_scalar(key, keys)
            if key.tag not in (f"{_YAML}str", f"{_YAML}merge"):
                kind = _kind(key)
                raise _mistake(key, keys, f"the key {key.value} is {kind} to YAML: write it in quotes")
            if key.value in pairs:
                line = pairs[key.value][0].start_mark.line + 1
                raise _mistake(
                    key, keys, f"the key {key.value!r} stands there more than once, also in line {line}"
                )
            pairs[key.value] = key, value
        return [(name, value) for name, (_, value) in pairs.items()]

    def _check_scalar(self, node: ScalarNode, keys: tuple[str, ...]) -> None:
        resolved = self._yaml.resolver.resolve(
            ScalarNode, node.value, (node.style is None, node.style is not None)
        )
        if node.tag != resolved:
            raise _mistake(node, keys, f"has the tag {node.tag}: write it without a tag")
        if node.tag not in _KINDS:
            raise _mistake(node, keys, f"{node.value} is {_kind(node)} to YAML: write it in quotes")
        text = node.tag == f"{_YAML}str"
        if len(node.value) > (LONGEST_TEXT if text else LONGEST_NUMBER):
            raise _mistake(node, keys, f"{'text' if text else 'a number'} of {len(node.value):,} characters")
        if _NO_TEXT.search(node.value):
            raise _mistake(node, keys, f"{node.value!r} holds a control character or a line end")
        try:
            self._yaml.constructor.construct_object(node)
        except ValueError:
            raise _mistake(
                node, keys, f"{node.value} is {_kind(node)} to YAML, but none that there is"
            ) from None


def _kind(node: Node) -> str:
    kind = str(node.tag).removeprefix(_YAML)
    return _NAMES.get(kind, f"a {kind}")


def _mistake(node: Node, keys: tuple[str, ...], what: str) -> UserError:
    key = ".".join(shorten(each, 80) for each in keys)
    return UserError(f"{key}{': ' if key else ''}{what} (line {node.start_mark.line + 1})")
