"""One case: which rule, what is sent, what must happen, and what it needs of the node under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.conformance.draft import Draft, Tampering
from gateway.conformance.expectation import Expectation, Reply
from gateway.conformance.session import Session, body_of

Run = Callable[[Session], Sequence[Reply]]
Need = Callable[[Session], str]
"""Returns why the case cannot be run with this session; empty when it can."""


@dataclass(frozen=True, slots=True)
class Case:
    """A rule of docs/protocol.md, made into something that can be tried."""

    id: str
    section: str
    """Number and heading in docs/protocol.md."""
    sent: str
    must: Expectation
    run: Run
    needs: tuple[Need, ...] = ()


def a_grant(session: Session) -> str:
    """Need: something may be asked without the learner's consent."""
    if any(grant.kinds and not grant.consent_required for grant in session.grants):
        return ""
    return f"needs a grant without consent to {session.identity.node_id!r} in access.toml of the node"


def an_ungranted_purpose(session: Session) -> str:
    """Need: a purpose for which nothing is granted."""
    return "" if session.ungranted_purpose() is not None else "needs a purpose that is not granted"


def an_ungranted_kind(session: Session) -> str:
    """Need: a granted purpose that leaves a kind out."""
    return "" if session.ungranted_kind() is not None else "needs a grant that leaves a kind out"


def a_consent_grant(session: Session) -> str:
    """Need: something is granted with consent only."""
    return "" if session.consent_only() is not None else "needs a grant with consent_required = true"


def a_witness(session: Session) -> str:
    """Need: the node's card describes a witness."""
    return "" if session.card.witness_verifier_key else "the node's card describes no witness"


def query(
    id_: str,
    section: str,
    sent: str,
    must: Expectation,
    change: Callable[[Draft], None] = lambda _draft: None,
    *,
    needs: tuple[Need, ...] = (),
) -> Case:
    """Return a case that sends one query, correct but for ``change``."""

    def run(session: Session) -> Sequence[Reply]:
        draft = session.query()
        change(draft)
        return [session.send(draft)]

    return Case(id_, section, sent, must, run, needs)


def echo(
    id_: str,
    section: str,
    sent: str,
    must: Expectation,
    change: Callable[[Draft, Session], None] = lambda _draft, _session: None,
) -> Case:
    """Return a case that sends one echo, correct but for ``change``: it needs no grant."""

    def run(session: Session) -> Sequence[Reply]:
        draft = session.echo()
        change(draft, session)
        return [session.send(draft)]

    return Case(id_, section, sent, must, run)


def tampered(
    id_: str, section: str, sent: str, must: Expectation, tamper: Callable[[Session], Tampering]
) -> Case:
    """Return a case that changes a correct query after it was signed."""

    def run(session: Session) -> Sequence[Reply]:
        return [session.send(session.query(), tamper(session))]

    return Case(id_, section, sent, must, run)


def set_body(**members: object) -> Callable[[Draft], None]:
    """Return a change that sets members of the body; an empty list clears a repeated one."""

    def change(draft: Draft) -> None:
        body = body_of(draft)
        for name, value in members.items():
            body.ClearField(name)  # type: ignore[arg-type]
            if isinstance(value, list):
                getattr(body, name).extend(value)
            else:
                setattr(body, name, value)

    return change


def set_header(**members: object) -> Callable[[Draft], None]:
    """Return a change that sets members of the header; ``None`` clears one."""

    def change(draft: Draft) -> None:
        for name, value in members.items():
            if value is None:
                draft.header.ClearField(name)  # type: ignore[arg-type]
            else:
                setattr(draft.header, name, value)

    return change
