"""A YAML file -> text, lists of text, and mappings of these.

A scalar is the text that stands in the file, as it would be in an environment variable: `port: 8383` is
"8383", a value of digits keeps its zeros, and `on` is a bucket's name. An empty one, or `null`, is "". Anchors,
aliases and tags are refused.

Rule of this file: no fault shows what a line holds, for that may be a secret; it shows the line's number.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import yaml

from reductauth.errors import ConfigurationError

__all__ = ["Node", "read_document"]

Node: TypeAlias = "str | tuple[str, ...] | dict[str, Node]"

_NULL = "tag:yaml.org,2002:null"


def read_document(path: Path, faults: list[str]) -> dict[str, Node]:
    """Read a file that holds one mapping; what can't be read is told in `faults` and left out."""
    try:
        root = yaml.compose(path.read_bytes().decode("utf-8-sig"), Loader=_Loader)
        if not isinstance(root, yaml.MappingNode):
            faults.append(f"{path}: must be a YAML mapping, lines of `key: value`")
            return {}
        return _mapping(root, path, faults)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        faults.append(f"{path}: can't be read ({reason}); it must be a YAML file")
    except yaml.YAMLError as error:
        # Without the parser's own words: they quote the line.
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        faults.append(f"{path}{place}: is not valid YAML; quote text that holds special characters")
    except RecursionError:
        faults.append(f"{path}: is nested too deeply")
    except ConfigurationError as error:
        faults.extend(f"{path}{fault}" for fault in error.faults)
    return {}


class _Loader(yaml.SafeLoader):
    """Refuses what would make a node mean something else than its text."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # the stubs leave it out
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None or getattr(event, "tag", None):
            line = event.start_mark.line + 1
            raise ConfigurationError(
                [
                    f", line {line}: aliases (*), anchors (&) and tags (!) are not read; quote the text if it is one"
                ]
            )
        return super().compose_node(parent, index)


def _mapping(node: yaml.MappingNode, path: Path, faults: list[str]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for key_node, value_node in node.value:
        place = f"{path}, line {key_node.start_mark.line + 1}"
        key = _text(key_node)
        if not key:
            faults.append(f"{place}: a key must be text")
        elif key in found:
            faults.append(f"{place}: '{key}' is there twice")
        else:
            found[key] = _node(value_node, path, faults)
    return found


def _node(node: yaml.Node, path: Path, faults: list[str]) -> Node:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, faults)
    if not isinstance(node, yaml.SequenceNode):
        return _text(node) or ""
    items = [_text(item) for item in node.value]
    if None in items:
        faults.append(f"{path}, line {node.start_mark.line + 1}: a list may hold text only")
    return tuple(item for item in items if item is not None)


def _text(node: yaml.Node) -> str | None:
    """Give the text of a scalar, None for anything else."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    return "" if node.tag == _NULL else node.value
