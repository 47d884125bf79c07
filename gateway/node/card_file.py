"""The node's own card: kept as it was signed, made again only when what it says has changed.

A card that were signed anew at each print would have a new fingerprint each time, and nobody
could compare it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from creditexchange.v1.node_pb2 import KEY_ROLE_LOG, KEY_ROLE_MESSAGE, KEY_ROLE_WITNESS
from creditexchange.v1.record_pb2 import SchemeReference
from gateway.errors import CardError
from gateway.node.config import NodeConfig
from gateway.node.folder import NodeFolder, NodeKeys
from gateway.node.rotation_plan import ANNOUNCED
from gateway.peers.card import CARD_DAYS, Card, CardKey, Maintenance, build_card, read_card_file, verify_card
from gateway.signing import dsse
from gateway.signing.cosignature import CosignatureSigner
from gateway.signing.signed_note import NoteSigner

RENEWAL_DAYS = 60
CLOCKS = timedelta(minutes=1)
"""A next key begins that much before it is used: peers' clocks may be behind ours."""
CARD_ROLES = {"signing": KEY_ROLE_MESSAGE, "log": KEY_ROLE_LOG, "witness": KEY_ROLE_WITNESS}


def present_card(
    folder: NodeFolder, config: NodeConfig, keys: NodeKeys, scheme: SchemeReference, now: datetime
) -> Card:
    """Return the node's card, making a new one when keys, endpoints, names, scheme or the
    maintenance that is still to come changed.

    A new card also comes 60 days before the old one expires. Its serial number is the time in
    seconds, so that it rises even if the old file is lost.
    """
    try:
        old = read_card_file(folder.card) if folder.card.exists() else None
    except CardError:
        old = None
    if old is not None and _still_says(old, config, keys, scheme, now):
        return old
    serial = max(int(now.timestamp()), old.serial + 1 if old is not None else 0)
    message = build_card(
        node_id=config.node.id,
        names=config.node.names,
        serial=serial,
        issued=now,
        expires=now + timedelta(days=CARD_DAYS),
        endpoints=config.card.endpoints,
        message_key=keys.message,
        log_key=keys.log,
        cas=keys.cas or (keys.tls_ca,),
        log_origin=config.audit.origin,
        log_verifier_key=NoteSigner(config.audit.origin, keys.log.private).verifier.vkey,
        witness_key=keys.witness,
        witness_verifier_key=CosignatureSigner(config.audit.witness_name, keys.witness.private).verifier.vkey,
        scheme=scheme,
        maintenance=_still_to_come(_planned(config), now),
        further_message_keys=keys.further_message,
        overlapping_keys=overlapping_keys(keys),
    )
    fresh = folder.card.with_suffix(".new")
    fresh.write_text(dsse.to_json(message) + "\n", encoding="utf-8")
    fresh.replace(folder.card)
    return verify_card(message)


def _still_says(
    card: Card, config: NodeConfig, keys: NodeKeys, scheme: SchemeReference, now: datetime
) -> bool:
    return (
        card.node_id == config.node.id
        and card.names == config.node.names
        and card.endpoints == config.card.endpoints
        and _keys_of(card) == _keys_listed(keys)
        and [ca.public_bytes(Encoding.DER) for ca in card.cas]
        == [ca.public_bytes(Encoding.DER) for ca in keys.cas or (keys.tls_ca,)]
        and card.log_origin == config.audit.origin
        and card.witness_verifier_key.startswith(f"{config.audit.witness_name}+")
        and card.scheme == scheme.scheme_id
        and _still_to_come(card.maintenance, now) == _still_to_come(_planned(config), now)
        and card.expires - now > timedelta(days=RENEWAL_DAYS)
    )


def overlapping_keys(keys: NodeKeys) -> list[CardKey]:
    """Return the keys that stand in the card beside those in use: announced from a date, or until one."""
    found = []
    for slot in keys.slots:
        if slot.step is None or slot.other is None:
            continue
        is_next = slot.step.phase == ANNOUNCED
        start = slot.step.switch_at - CLOCKS if is_next else None
        end = None if is_next else slot.step.retire_at
        found.append(CardKey(slot.other.verifying, CARD_ROLES[slot.step.role], start, end))
    return found


def _keys_of(card: Card) -> set[tuple[str, datetime | None, datetime | None]]:
    return {(key_id, entry.start, entry.end) for key_id, entry in card.keys.items()}


def _keys_listed(keys: NodeKeys) -> set[tuple[str, datetime | None, datetime | None]]:
    in_use = {(key.key_id, None, None) for key in (*keys.message_keys, keys.log, keys.witness)}
    return in_use | {(entry.key.key_id, entry.start, entry.end) for entry in overlapping_keys(keys)}


def _planned(config: NodeConfig) -> list[Maintenance]:
    return [
        Maintenance(window.start.astimezone(UTC), window.until.astimezone(UTC), dict(window.reason))
        for window in config.maintenance
    ]


def _still_to_come(windows: Sequence[Maintenance], now: datetime) -> list[Maintenance]:
    """Return the windows that have not ended: one that has is no reason for a new card."""
    return [window for window in windows if window.end > now]
