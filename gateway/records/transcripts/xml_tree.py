"""XML as a tree: no document type, no entities, no network, bounded depth and size."""

from __future__ import annotations

from typing import Any
from xml.sax import ContentHandler

from defusedxml.common import DefusedXmlException
from lxml import etree

from gateway.records.transcripts.tree import (
    DEPTH_MAX,
    ELEMENTS_MAX,
    DocumentError,
    Element,
    Node,
    number_paths,
)

XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
SIGNATURE_NAMESPACE = "http://www.w3.org/2000/09/xmldsig#"


class _Bounds(ContentHandler):
    """Counts while the document streams by, so that nothing is built of one that is too large."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def startElement(self, _name: str, attrs: Any) -> None:  # noqa: N802 - SAX's name
        """Count an element and its attributes."""
        self._depth += 1
        self._count += 1 + len(attrs)
        if self._depth > DEPTH_MAX:
            raise DocumentError(f"it is nested more than {DEPTH_MAX} deep.")
        if self._count > ELEMENTS_MAX:
            raise DocumentError(f"it has more than {ELEMENTS_MAX:,} elements.")

    def endElement(self, _name: str) -> None:  # noqa: N802 - SAX's name
        """Leave an element."""
        self._depth -= 1


def parse_xml(content: bytes) -> Any:
    """Return the root element (lxml), with comments and processing instructions where they stood.

    Raises:
        DocumentError: no well-formed XML, a document type or entities, or beyond the limits.
    """
    from xml.sax import SAXException, SAXParseException

    from defusedxml.sax import parseString

    try:
        parseString(content, _Bounds(), forbid_dtd=True)
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        return etree.fromstring(content, parser)
    except DefusedXmlException as error:
        raise DocumentError("it declares a document type or entities; no transcript needs them.") from error
    except (SAXException, etree.XMLSyntaxError, ValueError, LookupError) as error:
        line = error.getLineNumber() if isinstance(error, SAXParseException) else getattr(error, "lineno", 0)
        raise DocumentError(f"it is no well-formed XML (line {line}).") from error


def namespace_of(root: Any) -> str:
    """Return the namespace of an element, ``""`` when it has none."""
    return str(etree.QName(root).namespace or "")


def tree_of(root: Any) -> Node:
    """Return the document as a tree.

    Names of the root's namespace stand alone; others with their namespace in braces, ``ds:`` for XML
    signatures. Attributes are children called ``@name``. Comments and instructions are no content.
    """
    own = namespace_of(root)
    name = etree.QName(root).localname
    return number_paths(_node(root, own, name, f"/{name}"))


def _node(element: Any, own: str, name: str, path: str) -> Node:
    node = Node(name, path)
    for attribute, value in element.attrib.items():
        title = f"@{_name(attribute, own)}"
        node.children.append(Node(title, "", Element("", value)))
    inside = [child for child in element if isinstance(child.tag, str)]
    for child in inside:
        node.children.append(_node(child, own, _name(child.tag, own), ""))
    # Text between comments belongs together; beside elements only what is no indentation is content.
    pieces = [element.text or "", *(child.tail or "" for child in element)]
    if not inside:
        node.element = Element(path, "".join(pieces))
    else:
        node.children += [Node("#text", "", Element("", piece)) for piece in pieces if piece.strip()]
    return node


def _name(tag: str, own: str) -> str:
    name = etree.QName(tag)
    if name.namespace in (own, None, XML_NAMESPACE):
        return name.localname
    return f"ds:{name.localname}" if name.namespace == SIGNATURE_NAMESPACE else tag
