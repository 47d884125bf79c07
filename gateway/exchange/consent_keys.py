"""Whose signature under a consent is believed at all: peers with an accepted card, and this node itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gateway.exchange.messages import Snapshot
from gateway.peers.roster import ACTIVE
from gateway.policy.consent import FindKey
from gateway.signing.suites import VerifyingKey, suites_of


def consent_keys(snapshot: Snapshot, now: datetime) -> FindKey:
    """Return what finds message keys that are live at ``now``, this node's own included.

    A suspended peer, or one whose card has expired, signs nothing that is believed.
    """
    required = suites_of([key.verifying for key in snapshot.message_keys])
    own = {key.key_id: replace(key.verifying, required_suites=required) for key in snapshot.message_keys}

    def find(key_id: str) -> tuple[str, VerifyingKey] | None:
        if key_id in own:
            return snapshot.node_id, own[key_id]
        owner = snapshot.roster.owner_of(key_id)
        if owner is None or owner.state != ACTIVE or owner.card.expires <= now:
            return None
        key = owner.message_key(key_id, now)
        return None if key is None else (owner.node_id, key)

    return find
