"""``keys/rotation.toml``: which keys are being replaced, and how far each is.

The file is the one durable truth about a change. It is replaced as a whole, under a lock that the
command line and the running node share, before anything else follows from it; so whatever is
interrupted goes on from here. Nothing in it is secret.
"""

from __future__ import annotations

import fcntl
import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from gateway.errors import ConfigError, OperatorError
from gateway.node.config import NodeConfig

PLAN_FILE = "rotation.toml"

Role = Literal["signing", "log", "witness", "tls-ca", "federation"]
Phase = Literal["announced", "switched"]

ANNOUNCED: Phase = "announced"
"""The next key stands in the card; the old one is in use."""
SWITCHED: Phase = "switched"
"""The new key is in use; the old one stands in the card until its end."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Table):
    """One key that is being replaced."""

    role: Role
    slot: str
    """What ``[keys]`` of node.toml names: a file or URI; ``tls-ca.pem``; or the old epoch."""
    to: str
    """Where the new one is: a file in keys/, a PKCS#11 URI, or the new epoch."""
    old: str
    """Key id of the old key."""
    new: str
    """Key id of the new key."""
    phase: Phase
    announced_at: AwareDatetime
    switch_at: AwareDatetime
    """Not before this is the new key used."""
    wait_until: AwareDatetime
    """Until then a step waits for peers that have not taken up the card that announces it."""
    retire_at: AwareDatetime | None = None
    """Not before this is the old key forgotten; its end in the card. Set by the switch."""
    forced: bool = False
    """Whether the operator said not to wait for anything."""


class PastLogKey(_Table):
    """A key that signed the audit log's checkpoints once."""

    verifier_key: str
    size_max: int
    """Largest size of the log that it may have signed."""


class Moved(_Table):
    """A key whose place is another one than node.toml names; gone once node.toml names the new place."""

    slot: str
    to: str


class Plan(_Table):
    """Everything that is under way, and what outlives it."""

    step: tuple[Step, ...] = ()
    moved: tuple[Moved, ...] = ()
    past_log_key: tuple[PastLogKey, ...] = ()
    retired_epochs: tuple[str, ...] = ()
    """Epochs of the federation secret under which this node only finds what it holds about a learner."""
    new_epochs: tuple[str, ...] = ()
    """Epochs that a rotation brought in and that node.toml does not name yet."""
    leaf_after: AwareDatetime | None = None
    """A TLS leaf issued before this is replaced."""

    def step_of(self, role: Role, slot: str | None = None) -> Step | None:
        """Return the step about a key, or any of the role when ``slot`` is not given."""
        found = (step for step in self.step if step.role == role and slot in (None, step.slot))
        return next(found, None)

    def with_step(self, step: Step) -> Plan:
        """Return the plan with ``step`` in the place of the earlier state of the same."""
        others = [s for s in self.step if (s.role, s.slot) != (step.role, step.slot)]
        return self.model_copy(update={"step": (*others, step)})

    def without(self, step: Step) -> Plan:
        """Return the plan without the step about that key."""
        others = tuple(s for s in self.step if (s.role, s.slot) != (step.role, step.slot))
        return self.model_copy(update={"step": others})

    def place_of(self, slot: str) -> str:
        """Return where the key that node.toml names ``slot`` is."""
        return next((moved.to for moved in self.moved if moved.slot == slot), slot)


def live_epochs(config: NodeConfig, plan: Plan) -> list[str]:
    """Return the epochs of the federation secret that are in use, the newest first."""
    named = dict.fromkeys([*reversed(plan.new_epochs), *config.federation.epochs])
    return [epoch for epoch in named if epoch not in plan.retired_epochs]


@dataclass
class PlanFile:
    """The plan of one node, open for changes."""

    path: Path
    plan: Plan

    def save(self, plan: Plan) -> None:
        """Make ``plan`` the durable truth."""
        fresh = self.path.with_name(f"{PLAN_FILE}.new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(_render(plan))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self.plan = plan


def read_plan(keys: Path) -> Plan:
    """Return the plan in the folder ``keys``; an empty one when there is none.

    Raises:
        ConfigError: the file is broken; the text names file and key.
    """
    path = keys / PLAN_FILE
    try:
        return Plan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Plan()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.", remedy="Restore it from your backup."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: {key}: {first['msg']}.", remedy="It is written by the gateway: restore your backup."
        ) from error


@contextmanager
def changing_plan(keys: Path) -> Iterator[PlanFile]:
    """Yield the plan for changes; others wait meanwhile.

    Raises:
        ConfigError: the file is broken.
        OperatorError: the folder cannot be written.
    """
    try:
        descriptor = os.open(keys / "rotation.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperatorError(f"{keys} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield PlanFile(keys / PLAN_FILE, read_plan(keys))
    finally:
        os.close(descriptor)


def _render(plan: Plan) -> str:
    lines = ["# Written by `credit-gateway keys rotate` and the running node: do not edit."]
    if plan.leaf_after is not None:
        lines.append(f"leaf_after = {_value(plan.leaf_after)}")
    lines += [
        f"{key} = {_value(list(getattr(plan, key)))}"
        for key in ("retired_epochs", "new_epochs")
        if getattr(plan, key)
    ]
    for name in ("step", "moved", "past_log_key"):
        for entry in getattr(plan, name):
            lines += ["", f"[[{name}]]"]
            lines += [f"{key} = {_value(value)}" for key, value in entry if value is not None]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """Return a TOML value; JSON's strings, numbers, booleans and arrays are TOML's as well."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return json.dumps(value, ensure_ascii=True)
