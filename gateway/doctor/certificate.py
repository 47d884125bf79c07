"""Does the certificate of an endpoint prove the peer? Pure; rules of docs/protocol.md, section 1."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from gateway.doctor.step import Side, State, Step
from gateway.doctor.tls import names_of
from gateway.peers.node_ca import TLS_NAME_SUFFIX, tls_name
from gateway.peers.roster import Peer, Roster

CERTIFICATE = "certificate"
SOON = timedelta(days=7)


def judge_certificate(certificate: x509.Certificate, peer: Peer, roster: Roster, now: datetime) -> Step:
    """Return the step; ``roster`` helps to say whose certificate it is when it is not the peer's."""
    name = tls_name(peer.node_id)
    step = Step(
        CERTIFICATE,
        "read the certificate of the endpoint",
        f"{', '.join(names_of(certificate)) or 'no name'}, issued by {_issuer(certificate)}, valid "
        f"{_day(certificate.not_valid_before_utc)} to {_day(certificate.not_valid_after_utc)}",
        f"the one name {name}, issued by the authority in the peer's card, valid now",
    )
    if not is_issued_by_one_of(certificate, peer.card.cas):
        return _of_another_authority(step, certificate, peer, roster)
    if names_of(certificate) != [name]:
        remedy = (
            "Have the peer's operator serve the certificate that its node made itself "
            "(keys/tls-leaf.pem), or move "
            "that file away and start the node: it makes a new one."
        )
        return step.found("WRONG_NAME", Side.THEIRS, remedy)
    return _judge_time(step, certificate, now)


def is_issued_by_one_of(certificate: x509.Certificate, cas: tuple[x509.Certificate, ...]) -> bool:
    """Whether one of ``cas`` issued the certificate directly."""
    return any(_is_issued_by(certificate, ca) for ca in cas)


def _judge_time(step: Step, certificate: x509.Certificate, now: datetime) -> Step:
    if now >= certificate.not_valid_after_utc:
        remedy = "Have the peer's operator restart its node: a node renews its certificate when it starts."
        return step.found("CERTIFICATE_EXPIRED", Side.THEIRS, remedy)
    if now < certificate.not_valid_before_utc:
        remedy = (
            "Have the peer's operator set its clock, move keys/tls-leaf.pem away and restart its "
            "node: the certificate "
            "was made when its clock was ahead."
        )
        return step.found("CERTIFICATE_NOT_YET_VALID", Side.THEIRS, remedy)
    left = certificate.not_valid_after_utc - now
    if left < SOON:
        remedy = "Have the peer's operator look why its node has not renewed its certificate."
        seen = f"{step.seen}; {left.days} days left"
        return step.found("CERTIFICATE_ENDS_SOON", Side.THEIRS, remedy, state=State.WARNING, seen=seen)
    return step


def _of_another_authority(step: Step, certificate: x509.Certificate, peer: Peer, roster: Roster) -> Step:
    names = names_of(certificate)
    if names == [tls_name(peer.node_id)]:
        return step.found(
            "OTHER_AUTHORITY",
            Side.OURS,
            f"Ask the operator of {peer.node_id} for its newest card, compare its fingerprint by "
            "telephone and run "
            "`credit-gateway peers add`. If it has no newer card, somebody else answers in its "
            "name: do not go on.",
        )
    node = next((name for name in names if name.endswith(TLS_NAME_SUFFIX)), "")
    if node:
        other = node.removesuffix(TLS_NAME_SUFFIX)
        known = "a peer of yours" if roster.get(other) is not None else "no peer of yours"
        return step.found(
            "OTHER_NODE",
            Side.THEIRS,
            f"Have the operator of {peer.node_id} correct its endpoint: there answers the node "
            f"{other!r}, {known}.",
        )
    return step.found(
        "SOMEBODY_BETWEEN",
        Side.NETWORK,
        "Have TLS to that endpoint passed through untouched: a proxy in between opens it and "
        "shows a certificate of "
        "its own.",
    )


def _is_issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _issuer(certificate: x509.Certificate) -> str:
    text = certificate.issuer.rfc4514_string()[:120]
    return "".join(character for character in text if character.isprintable())


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
