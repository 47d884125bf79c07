"""Which peer does a TLS leaf prove? Decided under *that* peer's CA, never by its name alone.

A handshake only shows that *some* accepted CA issued the leaf. A leaf that Shanghai's CA issued
in Jiangsu's name passes the handshake and proves nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509

from gateway.errors import RefusedError
from gateway.peers.node_ca import TLS_NAME_SUFFIX, UNREADABLE, is_issued_by
from gateway.peers.roster import Peer, Roster

LEAVES_REMEMBERED_MAX = 1024

_SKEW = timedelta(minutes=5)


class TlsIdentities:
    """Finds the peer behind a leaf; remembers what it proved as long as the roster is the same."""

    def __init__(self) -> None:
        self._roster: Roster | None = None
        self._proved: dict[bytes, tuple[str, datetime]] = {}

    def prove(self, leaf_pem: bytes, roster: Roster, now: datetime) -> Peer:
        """Return the peer that ``leaf_pem`` proves at ``now``.

        Raises:
            RefusedError: ``UNKNOWN_PEER`` when it proves none.
        """
        if roster is not self._roster:
            self._roster, self._proved = roster, {}
        known = self._proved.get(leaf_pem)
        if known is not None and now < known[1]:
            return roster.peers[known[0]]
        peer, until = _prove(leaf_pem, roster, now)
        if len(self._proved) < LEAVES_REMEMBERED_MAX:
            self._proved[leaf_pem] = (peer.node_id, until)
        return peer


def _prove(leaf_pem: bytes, roster: Roster, now: datetime) -> tuple[Peer, datetime]:
    try:
        leaf = x509.load_pem_x509_certificate(leaf_pem)
        names = _alternative_names(leaf)
    except UNREADABLE as error:
        raise _unknown("the TLS certificate cannot be read or has no subject alternative name.") from error
    if len(names) != 1 or not isinstance(names[0], x509.DNSName):
        raise _unknown("the TLS certificate must have exactly one name.")
    name = names[0].value
    peer = roster.get(name.removesuffix(TLS_NAME_SUFFIX)) if name.endswith(TLS_NAME_SUFFIX) else None
    if peer is None:
        raise _unknown("the TLS certificate names no accepted peer.")
    if not leaf.not_valid_before_utc - _SKEW <= now < leaf.not_valid_after_utc:
        raise _unknown("the TLS certificate is not valid now.")
    if not any(is_issued_by(leaf, ca) for ca in peer.card.cas):
        raise _unknown("the TLS certificate was not issued by the CA of the peer that it names.")
    return peer, leaf.not_valid_after_utc


def _alternative_names(leaf: x509.Certificate) -> Sequence[x509.GeneralName]:
    return list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def _unknown(message: str) -> RefusedError:
    return RefusedError("UNKNOWN_PEER", message)
