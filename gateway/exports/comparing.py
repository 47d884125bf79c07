"""What changed from one archive of a learner to a later one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.exports.archive_package import record_name
from gateway.exports.verifying import VerifiedArchive

_BESIDE = frozenset({"id", "attestation", "received"})
"""Members that say how a record came, not what it says."""

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that differs."""

    kind: Kind
    name: str
    """SOURCE/record_id."""
    title: str
    changes: Mapping[str, tuple[Any, Any]]
    """Members that differ, with the earlier and the later value; ``None`` for not stated."""


def compare(old: VerifiedArchive, new: VerifiedArchive) -> list[Difference]:
    """Return the records that were added, removed or changed, by name.

    A removed record need not have been revoked: a peer that gave nothing leaves its records out, and
    the archive's notes say so.
    """
    before = {record_name(each): _plain(each.record) for each in old.credentials}
    after = {record_name(each): _plain(each.record) for each in new.credentials}
    found = []
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        kind: Kind = "added" if one is None else "removed" if other is None else "changed"
        changes = {} if one is None or other is None else _changes(one, other)
        found.append(Difference(kind, name, title_in(other or one or {}), changes))
    return found


def title_in(record: Mapping[str, Any]) -> str:
    """Return the first title in the terms of a credential."""
    return str(next(iter(dict(record.get("title", {})).values()), ""))


def _changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (one.get(name), other.get(name))
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items() if name not in _BESIDE}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value
