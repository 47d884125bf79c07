"""``keys rotate``: begins the replacement of a key, and says when each step of it is due.

Announce: the next key stands in the card, the old one is used. Switch: when every peer has that card,
the new key is used and the old one gets an end. Retire: after that end, and when the peers have the card
that says so, the old key is deleted. What waits, and for whom, is a pure question; the running node does
the steps (``rotator.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import CallerError
from gateway.node.config import NodeConfig, RotationTable, load_config
from gateway.node.folder import NodeFolder, add_federation_secret, load_keys, load_signing_key, passphrase_of
from gateway.node.key_slots import CA_SLOT, ca_key_id, last_file, next_file
from gateway.node.rotation_plan import (
    ANNOUNCED,
    SWITCHED,
    Moved,
    PlanFile,
    Role,
    Step,
    changing_plan,
    live_epochs,
)
from gateway.peers.node_ca import generate_tls_key, make_ca
from gateway.signing.key_files import write_private_key
from gateway.signing.key_uri import is_key_uri, parse_key_uri
from gateway.signing.suites import SigningKey


@dataclass(frozen=True, slots=True)
class TakenUp:
    """How far the peers are with this node's present card."""

    lacking: tuple[str, ...]
    """Active peers that have not said that they accepted it."""
    complete_since: datetime | None
    """Since when none lacks it; ``None`` while one does."""


def waits_for(step: Step, now: datetime, taken_up: TakenUp, settle_s: float) -> str:
    """Return what the next step of ``step`` still waits for, in words; empty when it is due."""
    earliest = step.switch_at if step.phase == ANNOUNCED else step.retire_at
    if step.forced and step.phase == ANNOUNCED:
        return ""
    if earliest is not None and now < earliest:
        return f"until {earliest:%Y-%m-%d %H:%M:%S} UTC"
    if step.forced or now >= step.wait_until:
        return ""
    if taken_up.lacking:
        until = f"{step.wait_until:%Y-%m-%d %H:%M} UTC"
        return f"{', '.join(taken_up.lacking)} has not taken up the card; waits until {until} at most"
    settled = taken_up.complete_since
    if settled is None or now < settled + timedelta(seconds=settle_s):
        return "exchanges that are under way"
    return ""


def begin(
    folder: NodeFolder,
    role: Role,
    now: datetime,
    *,
    to: str = "",
    forced: bool = False,
    announce_s: float | None = None,
) -> list[Step]:
    """Make the next key of ``role`` and announce it; what is under way already is left as it is.

    ``to`` is the PKCS#11 URI of a next key that was made in a hardware module; ``announce_s`` stands in for
    node.toml's. A running node takes
    the change up within seconds, a stopped one at its next start.

    Returns:
        The steps of this role, one a key.

    Raises:
        CallerError: ``to`` does not fit.
        OperatorError: a key cannot be read or written.
    """
    config = load_config(folder.root)
    rotation = config.rotation
    if announce_s is not None:
        rotation = rotation.model_copy(update={"announce_s": announce_s})
    with changing_plan(folder.keys) as file:
        forget_moved(file, config)
        slots = [CA_SLOT] if role == "tls-ca" else _slots_of(role, config)
        if to and len(slots) > 1:
            raise CallerError("node.toml names several message keys; they are replaced one after another.")
        for slot in slots:
            under_way = file.plan.step_of(role, slot)
            if under_way is None:
                place, old, new = (
                    _next_ca(folder, config, now)
                    if role == "tls-ca"
                    else _next_key(folder, config, role, slot, to)
                )
                file.save(file.plan.with_step(_announced(role, slot, place, old, new, now, rotation)))
            elif to and to != under_way.to:
                raise CallerError(f"a change of {slot} is under way to another key; see `keys list`.")
            if forced:
                step = file.plan.step_of(role, slot)
                assert step is not None
                file.save(file.plan.with_step(step.model_copy(update={"forced": True})))
        return [step for step in file.plan.step if step.role == role]


def begin_epoch(folder: NodeFolder, epoch: str, source: Path | None, now: datetime, *, forced: bool) -> Step:
    """Put the federation secret of a new epoch in place: a copy of ``source``, or a new one.

    It is used once the records are found under it (`records rekey`), towards each peer that has it too.

    Raises:
        CallerError: another epoch is on its way, or this one is in use or over.
        KeyFileError: another secret of this epoch is there, or ``source`` is refused.
    """
    config = load_config(folder.root)
    with changing_plan(folder.keys) as file:
        forget_moved(file, config)
        live = live_epochs(config, file.plan)
        step = file.plan.step_of("federation")
        if step is None:
            if len(live) != 1 or epoch in (*live, *file.plan.retired_epochs):
                raise CallerError(
                    f"epoch {epoch} cannot follow: live are {', '.join(live) or 'none'}.",
                    remedy="One epoch must be live, and a new one has a new name.",
                )
            add_federation_secret(folder, epoch, source)
            step = _announced("federation", live[0], epoch, "", "", now, config.rotation)
        elif step.to != epoch:
            raise CallerError(f"the change to epoch {step.to} is under way; see `keys list`.")
        step = step.model_copy(update={"forced": step.forced or forced})
        file.save(file.plan.with_step(step))
        return step


def cancel(folder: NodeFolder, role: Role) -> list[Step]:
    """Give up changes of ``role`` that are announced only; their next keys are deleted.

    Raises:
        CallerError: there is none, or the new key is in use already.
    """
    with changing_plan(folder.keys) as file:
        steps = [step for step in file.plan.step if step.role == role]
        if not steps or any(step.phase != ANNOUNCED for step in steps):
            raise CallerError(
                f"no change of {role} can be given up: "
                + ("none is under way." if not steps else "it is done."),
                remedy="Once the new key is in use, replace it by another one: run `keys rotate` afterwards.",
            )
        for step in steps:
            file.save(file.plan.without(step))
            _delete(folder, f"federation-{step.to}.secret" if role == "federation" else step.to)
    return steps


def switch(folder: NodeFolder, file: PlanFile, step: Step, now: datetime) -> None:
    """Use the new key from now on. The plan first, then the files' names, which decide nothing."""
    rotation, plan = load_config(folder.root).rotation, file.plan
    if step.role == "federation":
        plan = plan.model_copy(update={"new_epochs": (*plan.new_epochs, step.to)})
    file.save(
        plan.with_step(
            step.model_copy(
                update={
                    "phase": SWITCHED,
                    "retire_at": now + timedelta(seconds=rotation.overlap_s),
                    "wait_until": now + timedelta(seconds=rotation.overlap_s + rotation.wait_s),
                    "forced": False,
                }
            )
        )
    )


def retire(folder: NodeFolder, file: PlanFile, step: Step) -> None:
    """Forget the old key: its file is deleted, and the new one gets its name."""
    plan = file.plan.without(step)
    if step.role == "federation":
        epochs = [e for e in plan.retired_epochs if e != step.slot]
        file.save(plan.model_copy(update={"retired_epochs": (*epochs, step.slot)}))
        return
    is_file = not is_key_uri(step.slot) and not is_key_uri(step.to)
    if is_file:
        tidy(folder, step)
    elif step.slot != step.to:
        moved = [m for m in plan.moved if m.slot != step.slot]
        plan = plan.model_copy(update={"moved": (*moved, Moved(slot=step.slot, to=step.to))})
    file.save(plan)
    for place in [last_file(step.slot)] if is_file else [step.slot]:
        _delete(folder, place)


def tidy(folder: NodeFolder, step: Step) -> None:
    """Give the new key's file the name that node.toml has, and the old one's the name of a last key.

    Interrupted anywhere it is finished by doing it again: where ``-next`` is still there, it was not done.
    """
    slot = step.slot
    for suffix in (".crt", ".pem") if step.role == "tls-ca" else (".pem",):
        present, fresh = (folder.key(name.removesuffix(".pem") + suffix) for name in (slot, next_file(slot)))
        last = folder.key(last_file(slot).removesuffix(".pem") + suffix)
        if not fresh.exists():
            continue
        if present.exists():
            present.replace(last)
        fresh.replace(present)


def forget_moved(file: PlanFile, config: NodeConfig) -> None:
    """Forget keys whose new place node.toml names by now."""
    named = {*config.keys.message, config.keys.log, config.keys.witness}
    moved = tuple(entry for entry in file.plan.moved if entry.to not in named)
    epochs = tuple(epoch for epoch in file.plan.new_epochs if epoch not in config.federation.epochs)
    if (moved, epochs) != (file.plan.moved, file.plan.new_epochs):
        file.save(file.plan.model_copy(update={"moved": moved, "new_epochs": epochs}))


def _slots_of(role: Role, config: NodeConfig) -> Sequence[str]:
    return {"signing": config.keys.message, "log": [config.keys.log], "witness": [config.keys.witness]}[role]


def _announced(
    role: Role, slot: str, to: str, old: str, new: str, now: datetime, rotation: RotationTable
) -> Step:
    return Step(
        role=role,
        slot=slot,
        to=to,
        old=old,
        new=new,
        phase=ANNOUNCED,
        announced_at=now,
        switch_at=now + timedelta(seconds=rotation.announce_s),
        wait_until=now + timedelta(seconds=rotation.announce_s + rotation.wait_s),
    )


def _next_key(folder: NodeFolder, config: NodeConfig, role: Role, slot: str, to: str) -> tuple[str, str, str]:
    """Return where the next key is, and both key ids; make it unless ``to`` names one in a module."""
    keys, passphrase = load_keys(folder, config), passphrase_of(folder, config)
    slots = zip(keys.slots, _all_slots(config), strict=True)
    old = next(found.active for found, name in slots if name == (role, slot))
    if to:
        try:
            parse_key_uri(to)
        except ValueError as error:
            raise CallerError(f"--to: {error}.") from error
        new = load_signing_key(folder, to, passphrase)
    elif is_key_uri(slot):
        raise CallerError(
            f"{slot.split('?', maxsplit=1)[0]} is in a hardware module, where this program makes no keys.",
            remedy="Make the next key there with the module's own tool and name it with --to pkcs11:…",
        )
    else:
        new, to = _made(folder.key(next_file(slot)), old, passphrase), next_file(slot)
    if new.suite is not old.suite or new.key_id == old.key_id:
        raise CallerError(
            f"the next key of {slot} must be another one of {old.suite.name}.",
            remedy="To change the suite, add a second key in node.toml: docs/cryptography.md says how.",
        )
    return to, old.key_id, new.key_id


def _all_slots(config: NodeConfig) -> list[tuple[Role, str]]:
    """Return role and source of every signing key, in the order of ``NodeKeys.slots``."""
    messages: list[tuple[Role, str]] = [("signing", source) for source in config.keys.message]
    return [*messages, ("log", config.keys.log), ("witness", config.keys.witness)]


def _made(path: Path, old: SigningKey, passphrase: bytes | None) -> SigningKey:
    """Make a next key. One that no plan names was left by a run that was interrupted before it counted."""
    path.unlink(missing_ok=True)
    new = SigningKey.generate(old.suite)
    write_private_key(path, new.private, passphrase)
    return new


def _next_ca(folder: NodeFolder, config: NodeConfig, now: datetime) -> tuple[str, str, str]:
    key = generate_tls_key()
    ca = make_ca(config.node.id, key, now)
    old = load_keys(folder, config).tls_ca
    for name in ("tls-ca-next.pem", "tls-ca-next.crt"):
        folder.key(name).unlink(missing_ok=True)
    write_private_key(folder.key("tls-ca-next.pem"), key, passphrase_of(folder, config))
    folder.key("tls-ca-next.crt").write_bytes(ca.public_bytes(Encoding.PEM))
    return "tls-ca-next.pem", ca_key_id(old), ca_key_id(ca)


def _delete(folder: NodeFolder, place: str) -> None:
    """Delete a key file; of a TLS authority the certificate as well. Keys in a module stay there."""
    if is_key_uri(place):
        return
    path = folder.key(place)
    path.unlink(missing_ok=True)
    path.with_suffix(".crt").unlink(missing_ok=True)


def renew_leaf_soon(folder: NodeFolder, now: datetime) -> None:
    """Have the TLS leaf issued anew by whoever works with this folder next. Raises ``OperatorError``."""
    with changing_plan(folder.keys) as file:
        file.save(file.plan.model_copy(update={"leaf_after": now.replace(microsecond=0)}))
