"""What peers may ask, as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from creditexchange.v1.archive_pb2 import CheckPeerResponse
from gateway.cli.output import console, say, table
from gateway.node.access_explained import GRANTED, Explanation, KindDecision, QuotaState
from gateway.policy.grants import Access
from gateway.policy.purposes import KINDS, PURPOSES, kind_word, purpose_word

WITHOUT, WITH, NOT = "yes", "consent", "-"


def matrix(access: Access, peer: str) -> dict[str, dict[str, str]]:
    """Return for each kind and purpose whether ``peer`` may ask: yes, with consent, or not."""
    cells: dict[str, dict[str, str]] = {kind: dict.fromkeys(PURPOSES, NOT) for kind in KINDS}
    for purpose, grant in access.of_peer(peer):
        for kind in grant.kinds:
            row, word = cells[kind_word(kind)], purpose_word(purpose)
            row[word] = WITH if grant.consent_required and row[word] != WITHOUT else WITHOUT
    return cells


def show_matrix(access: Access, peer: str, limits: str) -> None:
    """Print one peer's matrix."""
    shown = table("kind", *PURPOSES, title=f"{peer} may ask ({limits})")
    for kind, row in matrix(access, peer).items():
        shown.add_row(kind, *row.values())
    console.print(shown)


def limits_of(access: Access, peer: str) -> dict[str, Any]:
    """Return rate and quotas of a peer."""
    return {
        "calls_per_second": access.calls_per_second(peer),
        "quotas": [
            {"learners_per_day": quota.learners_per_day, "purposes": sorted(quota.purposes) or None}
            for quota in access.quotas.get(peer, ())
        ],
    }


def limits_text(limits: Mapping[str, Any]) -> str:
    """Return the same in words."""
    quotas = [
        f"{quota['learners_per_day']:,} learners a day"
        + (f" for {', '.join(quota['purposes'])}" if quota["purposes"] else "")
        for quota in limits["quotas"]
    ]
    return "; ".join([f"{limits['calls_per_second']:,} calls a second", *(quotas or ["no quota"])])


def explanation_json(found: Explanation, own: str) -> dict[str, Any]:
    """Return an explanation as one JSON object."""
    return {
        "allowed": found.is_allowed,
        "asker": found.peer,
        "answerer": own,
        "purpose": purpose_word(found.purpose),
        "kinds": [
            {
                "kind": kind_word(one.kind),
                "outcome": one.outcome,
                "decided_by": one.line.place,
                "text": one.line.text,
                "consent_needed": one.needs_consent,
                "statutory_basis": one.basis or None,
            }
            for one in found.decisions
        ],
        "quotas": [
            {
                "learners_per_day": quota.learners_per_day,
                "left": quota.left,
                "purposes": list(quota.purposes) or None,
                "decided_by": quota.line.place,
                "resets": found.day.ends.isoformat(timespec="seconds"),
            }
            for quota in found.quotas
        ],
        "calls_per_second": found.calls_per_second,
        "rate_decided_by": found.rate_line.place,
    }


def show_explanation(found: Explanation, own: str) -> None:
    """Print an explanation: the answer first, then what decides."""
    verb = "may ask" if found.is_allowed else "may not ask"
    kinds = ", ".join(kind_word(one.kind) for one in found.decisions)
    answer = "yes" if found.is_allowed else "no"
    say(f"{answer}: {found.peer} {verb} {own} for {kinds}, for {purpose_word(found.purpose)}.")
    shown = table("kind", "outcome", "decided by", "line", "consent")
    for one in found.decisions:
        shown.add_row(
            kind_word(one.kind), one.outcome, one.line.place, Text(one.line.text), Text(_consent(one))
        )
    console.print(shown)
    say(f"rate:  {found.calls_per_second:,} calls a second ({found.rate_line.place})")
    for quota in found.quotas:
        say(
            f"quota: {_left(quota)} until {found.day.ends.isoformat(timespec='seconds')} ({quota.line.place})"
        )
    if not found.quotas:
        say("quota: none")
    if found.problem:
        say(f"What is left of the quota cannot be read: {found.problem}")


def theirs(check: CheckPeerResponse, purpose: int, kind: int) -> tuple[bool, bool]:
    """Return whether the peer says that it grants a kind to this node, and whether only with consent."""
    granting = [grant for grant in check.grants if grant.purpose == purpose and kind in grant.kinds]
    return bool(granting), bool(granting) and all(grant.consent_required for grant in granting)


def _consent(one: KindDecision) -> str:
    if one.needs_consent:
        return "needed"
    return f"not needed: {one.basis}" if one.outcome == GRANTED or one.basis else ""


def _left(quota: QuotaState) -> str:
    left = "?" if quota.left is None else f"{quota.left:,}"
    of = f" for {', '.join(quota.purposes)}" if quota.purposes else ""
    return f"{left} of {quota.learners_per_day:,} learners left{of}"
