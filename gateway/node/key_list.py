"""Where each key of a node stands: what `keys list` shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from gateway.clock import Clock
from gateway.errors import CardError
from gateway.node.config import NodeConfig, load_config
from gateway.node.folder import (
    CREDENTIAL_KEY,
    DOCUMENT_CERTIFICATE,
    DOCUMENT_KEY,
    EVIDENCE_KEY,
    PAST_CREDENTIAL_KEYS,
    PREVIOUS_EVIDENCE_KEY,
    NodeFolder,
    NodeKeys,
    load_keys,
)
from gateway.node.heard_cards import accepted_serials, read_heard
from gateway.node.issuing_keys import load_issuer
from gateway.node.key_slots import CA_SLOT, Slot, ca_key_id, read_certificate
from gateway.node.rotating import TakenUp, waits_for
from gateway.node.rotation_plan import ANNOUNCED, SWITCHED, Plan, Step, live_epochs
from gateway.peers.card import read_card_file
from gateway.peers.roster import load_roster

ACTIVE_STATE, ANNOUNCED_STATE, OVERLAP_STATE, RETIRED_STATE = "active", "announced", "overlap", "retired"


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key, or one secret."""

    role: str
    suite: str
    key_id: str
    place: str
    """File in keys/, or URI."""
    state: str
    """``active``; ``announced``: next; ``overlap``: the last one, still accepted."""
    since: datetime | None
    until: datetime | None
    next_step: str
    """What comes next, and what that waits for; empty when nothing is under way."""


@dataclass(frozen=True)
class KeyList:
    """All keys, and which peers have this node's present card."""

    keys: tuple[KeyLine, ...]
    card_serial: int
    accepted: dict[str, int]
    """Serial number of this node's card that each active peer said it accepted; 0 = it has not said."""


def list_keys(folder: NodeFolder, clock: Clock) -> KeyList:
    """Return where each key stands. Raises ``OperatorError``."""
    config = load_config(folder.root)
    keys, now = load_keys(folder, config), clock()
    serial = _serial(folder)
    roster = load_roster(folder.peers, config.node.id)
    accepted = accepted_serials(roster, read_heard(folder))
    lacking = tuple(i for i, known in accepted.items() if known < serial)
    taken_up = TakenUp(lacking, None if lacking else datetime.min.replace(tzinfo=now.tzinfo))
    lines: list[KeyLine] = []
    sources = [*(("signing", s) for s in config.keys.message), ("log", config.keys.log)]
    sources.append(("witness", config.keys.witness))
    for (role, source), slot in zip(sources, keys.slots, strict=True):
        lines += _slot_lines(role, source, slot, config, now, taken_up)
    lines += _tls_lines(keys, config, now, taken_up)
    lines += _issuing_lines(folder, config)
    lines += _secret_lines(folder, config, keys.plan)
    return KeyList(tuple(lines), serial, accepted)


def _serial(folder: NodeFolder) -> int:
    try:
        return read_card_file(folder.card).serial
    except CardError:
        return 0


def _slot_lines(
    role: str, source: str, slot: Slot, config: NodeConfig, now: datetime, taken_up: TakenUp
) -> list[KeyLine]:
    step, suite = slot.step, slot.active.suite.name
    if step is None:
        return [KeyLine(role, suite, slot.active.key_id, source, ACTIVE_STATE, None, None, "")]
    text = _next_step(step, config, now, taken_up)
    lines = [KeyLine(role, suite, slot.active.key_id, source, ACTIVE_STATE, None, None, text)]
    if slot.other is not None:
        lines.append(_other(role, suite, slot.other.key_id, step))
    return lines


def _other(role: str, suite: str, key_id: str, step: Step) -> KeyLine:
    if step.phase == ANNOUNCED:
        return KeyLine(role, suite, key_id, step.to, ANNOUNCED_STATE, step.announced_at, None, "")
    return KeyLine(role, suite, key_id, step.slot, OVERLAP_STATE, None, step.retire_at, "")


def _next_step(step: Step, config: NodeConfig, now: datetime, taken_up: TakenUp) -> str:
    what = "use the next key" if step.phase == ANNOUNCED else "delete the last key"
    waits = waits_for(step, now, taken_up, config.rotation.settle_s)
    return f"{what}: {waits or 'due; the running node does it'}"


def _tls_lines(keys: NodeKeys, config: NodeConfig, now: datetime, taken_up: TakenUp) -> list[KeyLine]:
    step = keys.plan.step_of("tls-ca", CA_SLOT)
    text = _next_step(step, config, now, taken_up) if step is not None else ""
    lines = []
    for ca in keys.cas:
        is_active = ca == keys.tls_ca
        state = ACTIVE_STATE
        if not is_active and step is not None:
            state = OVERLAP_STATE if step.phase == SWITCHED else ANNOUNCED_STATE
        end = step.retire_at if step is not None and state == OVERLAP_STATE else ca.not_valid_after_utc
        place = CA_SLOT if is_active or step is None else step.to
        lines.append(
            KeyLine(
                "tls-ca",
                "ecdsa-p256",
                ca_key_id(ca),
                place,
                state,
                ca.not_valid_before_utc,
                end,
                text if is_active else "",
            )
        )
    leaf = x509.load_pem_x509_certificate(keys.tls_leaf_pem)
    since, until = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    lines.append(
        KeyLine("tls-leaf", "ecdsa-p256", ca_key_id(leaf), "tls-leaf.pem", ACTIVE_STATE, since, until, "")
    )
    return lines


def _issuing_lines(folder: NodeFolder, config: NodeConfig) -> list[KeyLine]:
    """Keys of what learners take away; a node of an older version has none."""
    lines = []
    if folder.key(CREDENTIAL_KEY).exists():
        issuer = load_issuer(folder, config)
        lines = [
            KeyLine("credential", "ed25519", issuer.key_name, CREDENTIAL_KEY, ACTIVE_STATE, None, None, ""),
            *(
                KeyLine("credential", "ed25519", name, PAST_CREDENTIAL_KEYS, RETIRED_STATE, None, None, "")
                for name in issuer.past_keys
            ),
        ]
    if folder.key(DOCUMENT_CERTIFICATE).exists():
        certificate = read_certificate(folder.key(DOCUMENT_CERTIFICATE))
        since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        name = ca_key_id(certificate)
        lines.append(KeyLine("documents", "p-256", name, DOCUMENT_KEY, ACTIVE_STATE, since, until, ""))
    return lines


def _secret_lines(folder: NodeFolder, config: NodeConfig, plan: Plan) -> list[KeyLine]:
    """Secrets have no public half, so nothing of them is shown but where they are."""
    text = ""
    lines = []
    if folder.key(PREVIOUS_EVIDENCE_KEY).exists():
        text = "delete the last key: what it encrypted is being wrapped anew"
        lines.append(KeyLine("evidence", "aes-256", "", PREVIOUS_EVIDENCE_KEY, OVERLAP_STATE, None, None, ""))
    lines.insert(0, KeyLine("evidence", "aes-256", "", EVIDENCE_KEY, ACTIVE_STATE, None, None, text))
    step = plan.step_of("federation")
    for epoch in live_epochs(config, plan):
        is_old = step is not None and step.phase == SWITCHED and epoch == step.slot
        lines.append(_epoch(epoch, OVERLAP_STATE if is_old else ACTIVE_STATE, step, folder))
    if step is not None and step.phase == ANNOUNCED:
        lines.append(_epoch(step.to, ANNOUNCED_STATE, None, folder))
    return lines + [_epoch(epoch, RETIRED_STATE, None, folder) for epoch in plan.retired_epochs]


def _epoch(epoch: str, state: str, step: Step | None, folder: NodeFolder) -> KeyLine:
    text = ""
    if step is not None and state == ACTIVE_STATE and step.phase == ANNOUNCED:
        text = "use the next epoch: when `records rekey` leaves no record under this one"
    elif step is not None and state == OVERLAP_STATE:
        lacking = [i for i, heard in read_heard(folder).items() if step.to not in heard.epochs]
        who = f", and {', '.join(lacking)} use {step.to}" if lacking else ""
        text = f"end this epoch: after {step.retire_at:%Y-%m-%d %H:%M:%S} UTC{who}"
    return KeyLine("federation", "hmac-sha-256", "", f"federation-{epoch}.secret", state, None, None, text)
