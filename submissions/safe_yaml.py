"""Reading YAML that strangers wrote: plain data only, no tricks, and the line of everything for error messages.

Tags, anchors and aliases (with which a few lines unfold into gigabytes), duplicate keys, several documents
and deep nesting are refused before anything is built.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml

_NULL, _BOOL, _INT, _FLOAT, _DATE = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "timestamp")
)


class _Loader(yaml.SafeLoader):
    """With YAML 1.2's plain scalars, which surprise less: `no` is text, and 1e15 a number. Dates are dates."""

    yaml_implicit_resolvers: ClassVar = {}


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # pyright: ignore[reportGeneralTypeIssues]
    """The same, ten times as fast where PyYAML comes with libyaml; its errors say less."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    (
        _FLOAT,
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    (_DATE, r"[0-9]{4}-[0-9]{2}-[0-9]{2}", list("0123456789")),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)

DEPTH = 8
NODES = 5_000

Path = tuple[str | int, ...]


class YamlError(Exception):
    """What is wrong with a text, and in which line (from 1)."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Document:
    """Plain data, and the line (from 1) at which each part of it begins."""

    data: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of a part; of what holds it, where it is not there itself."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1


def read_yaml(content: bytes) -> Document:
    """Parse one YAML document. Raises: YamlError."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise YamlError("the file is not UTF-8 text", content[: error.start].count(b"\n") + 1) from error
    try:
        return _read(text, _FastLoader)
    except (YamlError, yaml.YAMLError, ValueError, OverflowError, TypeError, AttributeError):
        return _read_explained(text)


def _read(text: str, kind: type[yaml.SafeLoader]) -> Document:
    _refuse_tricks(text, kind)
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise YamlError("the file is empty", 1)
        lines = dict(_lines(node, ()))
        return Document(loader.construct_document(node), lines)
    finally:
        loader.dispose()


def _read_explained(text: str) -> Document:
    try:
        return _read(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context or "it cannot be parsed").split())
        raise YamlError(f"this is not YAML: {problem}", mark.line + 1 if mark else 1) from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise YamlError("a control character stands in the file", line) from error
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        # A date like 2026-13-45, or a number with too many digits.
        raise YamlError(f"a value cannot be read ({' '.join(str(error).split())[:200]})", 1) from error


def _refuse_tricks(text: str, kind: type[yaml.SafeLoader]) -> None:
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=kind):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise YamlError("a second document begins here; give only one", line)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlError("anchors and aliases (& and *) are not allowed; write the value out", line)
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            if getattr(event, "tag", None):
                raise YamlError("tags (!) are not allowed; write plain values", line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH:
            raise YamlError(f"the file is nested more than {DEPTH} levels deep", line)
        if nodes > NODES:
            raise YamlError(f"the file has more than {NODES} values", line)


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _lines(child, (*path, index))
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError("only plain names can be keys", line)
            if key.value in seen:
                raise YamlError(f"the key {key.value!r} stands here a second time", line)
            seen.add(key.value)
            yield from _lines(child, (*path, key.value))
            yield (*path, key.value), line
