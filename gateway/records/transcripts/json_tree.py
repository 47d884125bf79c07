"""JSON as a tree: numbers with the digits of the file, no member twice, bounded depth and size."""

from __future__ import annotations

import json
from typing import Any

from gateway.records.transcripts.tree import (
    DEPTH_MAX,
    ELEMENTS_MAX,
    DocumentError,
    Element,
    Node,
    number_paths,
)

NUMBER_CHARACTERS_MAX = 64


class Number(str):
    """A number as the file writes it. It never passes through a binary float."""

    __slots__ = ()


def parse_json(content: bytes) -> Any:
    """Return the document, numbers as :class:`Number`.

    Raises:
        DocumentError: no JSON in UTF-8, a member twice, NaN or Infinity, or nested too deeply.
    """
    try:
        return json.loads(
            content.decode("utf-8-sig"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_no_constant,
            object_pairs_hook=_members,
        )
    except UnicodeDecodeError as error:
        raise DocumentError(f"byte {error.start} is not UTF-8.") from error
    except json.JSONDecodeError as error:
        raise DocumentError(f"it is no JSON (line {error.lineno}, character {error.colno}).") from error
    except RecursionError as error:
        raise DocumentError(f"it is nested more than {DEPTH_MAX} deep.") from error


def tree_of(data: Any) -> Node:
    """Return a parsed document as a tree: a list is its member several times. Raises ``DocumentError``."""
    root = Node("", "")
    budget = [ELEMENTS_MAX]
    _fill(root, data, 0, budget)
    return number_paths(root)


def _fill(node: Node, value: Any, depth: int, budget: list[int]) -> None:
    budget[0] -= 1
    if depth > DEPTH_MAX:
        raise DocumentError(f"it is nested more than {DEPTH_MAX} deep.")
    if budget[0] < 0:
        raise DocumentError(f"it has more than {ELEMENTS_MAX:,} elements.")
    if isinstance(value, dict) and value:
        for name, member in value.items():
            for item in member if isinstance(member, list) and member else [member]:
                child = Node(name, "")
                _fill(child, item, depth + 1, budget)
                node.children.append(child)
    elif isinstance(value, list) and value:  # a list in a list
        for item in value:
            child = Node("item", "")
            _fill(child, item, depth + 1, budget)
            node.children.append(child)
    else:
        node.element = Element("", _text(value))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)  # true, false, null, {} and []


def _number(text: str) -> Number:
    if len(text) > NUMBER_CHARACTERS_MAX:
        raise DocumentError(f"a number has more than {NUMBER_CHARACTERS_MAX} characters.")
    return Number(text)


def _no_constant(text: str) -> Any:
    raise DocumentError(f"{text} is no number in JSON.")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DocumentError(f"the member {twice[:40]!r} stands twice in one object.")
    return members
