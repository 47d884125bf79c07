"""Section 2, suites: which signatures a message needs, and that a key keeps its algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.conformance.case import Case, Need, tampered
from gateway.conformance.draft import Tampering
from gateway.conformance.expectation import refused
from gateway.conformance.session import Session
from gateway.conformance.wire import signed_bytes
from gateway.errors import SuiteUnavailableError
from gateway.signing.suites import ECDSA_P256, ML_DSA_65, SM2, SigningKey, Suite

SECTION = "2 Suites"
INVALID = refused("INVALID_SIGNATURE")


def two_suites(session: Session) -> str:
    """Need: the identity has message keys of two suites."""
    keys = (session.identity.message, *session.identity.further_message)
    return "" if len({key.suite for key in keys}) > 1 else "needs an identity made with --suite A+B"


def computable(suite: Suite) -> Need:
    """Need: this machine can sign with ``suite``."""

    def need(_session: Session) -> str:
        try:
            suite.generate()
        except SuiteUnavailableError as error:
            return str(error)
        return ""

    return need


def _without(place: int) -> Callable[[Session], Tampering]:
    def tamper(message: SignedMessage) -> None:
        del message.signatures[place]

    return lambda _session: tamper


def _under_unknown_id(_session: Session) -> Tampering:
    def tamper(message: SignedMessage) -> None:
        message.signatures[1].key_id = "sha256:" + "0" * 64

    return tamper


def _swapped(_session: Session) -> Tampering:
    def tamper(message: SignedMessage) -> None:
        first, second = message.signatures[0], message.signatures[1]
        first.signature, second.signature = second.signature, first.signature

    return tamper


def _confused(suite: Suite) -> Callable[[Session], Tampering]:
    """Sign under the id of the card's key with a key of ``suite``."""

    def of(_session: Session) -> Tampering:
        def tamper(message: SignedMessage) -> None:
            signed = signed_bytes(message.payload_type, message.payload)
            message.signatures[0].signature = SigningKey.generate(suite).sign(signed)

        return tamper

    return of


def _case(id_: str, sent: str, tamper: Callable[[Session], Tampering], *needs: Need) -> Case:
    return replace(tampered(id_, SECTION, sent, INVALID, tamper), needs=needs)


CASES = (
    *(
        _case(
            f"suites-confused-{suite.name}",
            f"a signature of {suite.name} under the id of another key",
            _confused(suite),
            computable(suite),
        )
        for suite in (ECDSA_P256, SM2, ML_DSA_65)
    ),
    _case("suites-first-missing", "the first of two signatures taken away", _without(0), two_suites),
    _case("suites-second-missing", "the second of two signatures taken away", _without(1), two_suites),
    _case(
        "suites-second-unknown", "the second signature under an unknown key id", _under_unknown_id, two_suites
    ),
    _case("suites-swapped", "two signatures with each other's key id", _swapped, two_suites),
)
