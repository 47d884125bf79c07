"""A foreign document as a tree, whatever its syntax, in which every element knows where it went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
"""Largest transcript; it is held in memory as a whole. Scanned attachments fit."""
DEPTH_MAX = 64
ELEMENTS_MAX = 200_000


class DocumentError(Exception):
    """The document is not what it should be; the text says what is wrong and where."""


@dataclass(slots=True)
class Element:
    """One value of the document: a text, an attribute, a member, an item."""

    path: str
    value: str
    """Verbatim; a JSON number with the digits of the file."""
    places: list[str] = field(default_factory=list)
    """Where it went, in words of the record."""
    is_hidden: bool = False
    """Whether it identifies the person, so that only a keyed digest may be kept."""


@dataclass(slots=True)
class Node:
    """One element or object of the document with what is inside it."""

    name: str
    path: str
    element: Element | None = None
    """Its own value; an object has none."""
    children: list[Node] = field(default_factory=list)

    def all(self, name: str) -> list[Node]:
        """Return the children called ``name``."""
        return [child for child in self.children if child.name == name]

    def first(self, way: str) -> Node | None:
        """Return the first node along ``way``, such as ``credit/value``; ``None`` when there is none."""
        node: Node | None = self
        for name in way.split("/"):
            node = next((child for child in node.children if child.name == name), None) if node else None
        return node

    def element_at(self, way: str) -> Element | None:
        """Return the value along ``way``, ``None`` when there is none or an empty one."""
        node = self.first(way)
        return node.element if node and node.element and node.element.value.strip() else None

    def text(self, way: str = "") -> str:
        """Return the value along ``way`` without blanks around it, ``""`` when there is none."""
        element = self.element_at(way) if way else self.element
        return element.value.strip() if element else ""

    def texts(self, name: str) -> list[str]:
        """Return the values of the children called ``name``."""
        return [child.text() for child in self.all(name)]

    def nodes(self) -> Iterator[Node]:
        """Yield this node and all below it, in the order of the document."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.children)

    def elements(self) -> Iterator[Element]:
        """Yield every value in and below this node, in the order of the document."""
        return (node.element for node in self.nodes() if node.element is not None)


def number_paths(root: Node) -> Node:
    """Give every node its path; siblings of one name are counted from 1."""
    for node in root.nodes():
        totals: dict[str, int] = {}
        for child in node.children:
            totals[child.name] = totals.get(child.name, 0) + 1
        counts: dict[str, int] = {}
        for child in node.children:
            counts[child.name] = counts.get(child.name, 0) + 1
            place = f"[{counts[child.name]}]" if totals[child.name] > 1 else ""
            child.path = f"{node.path}/{child.name}{place}"
            if child.element is not None:
                child.element.path = child.path
    return root
