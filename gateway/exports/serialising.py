"""JSON that leaves the gateway: the same bytes each time, readable as text."""

from __future__ import annotations

import json
from typing import Any


def json_bytes(data: Any) -> bytes:
    """Return a document as indented UTF-8 JSON with a line feed."""
    return (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode()
