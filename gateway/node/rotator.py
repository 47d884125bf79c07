"""The thread of a running node that carries changes of keys forward, and follows the peers' cards.

Every round asks the peers (``upkeep/peer_cards.py``) and then does each step that is due. A step is made
durable in the plan before the node acts by it, and the node takes the plan up like any other changed file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.audit import management_entry
from gateway.audit.evidence_rotation import rotate_evidence_key
from gateway.errors import GatewayError
from gateway.node.assemble import Node
from gateway.node.folder import PREVIOUS_EVIDENCE_KEY
from gateway.node.heard_cards import accepted_serials, read_heard, write_heard
from gateway.node.rotating import TakenUp, retire, switch, tidy, waits_for
from gateway.node.rotation_plan import ANNOUNCED, SWITCHED, PastLogKey, PlanFile, Step, changing_plan
from gateway.signing.key_uri import is_key_uri
from gateway.telemetry.events import logger

_log = logger("rotation")


class Rotator(threading.Thread):
    """Works for one node until stopped. ``take_up`` has the node look at its files at once."""

    def __init__(self, node: Node, take_up: Callable[[], object]) -> None:
        super().__init__(name="rotation", daemon=True)
        self._node = node
        self._take_up = take_up
        self._stopped = threading.Event()
        self._complete_since: datetime | None = None
        self._complete_serial = 0
        self._evidence_done_at: datetime | None = None
        node.cards.heard.update(read_heard(node.folder))
        node.hear_epochs()

    def run(self) -> None:
        """Go on until stopped; what fails is noted and tried again."""
        while not self._stopped.wait(self._node.config.rotation.poll_s):
            try:
                self.round()
            except (GatewayError, OSError) as error:
                _log.warning("changes of keys wait", problem=str(error.__cause__ or error))

    def stop(self) -> None:
        """End after the round that is running."""
        self._stopped.set()
        if self.is_alive():
            self.join(timeout=10)

    def round(self) -> None:
        """Ask the peers, then do what is due."""
        node = self._node
        if node.cards.round(node.snapshot):
            self._take_up()
        node.hear_epochs()
        write_heard(node.folder, node.card.serial, node.cards.heard)
        self._advance()
        self._rotate_evidence()

    def taken_up(self, now: datetime) -> TakenUp:
        """Return how far the peers are with the present card."""
        node, serial = self._node, self._node.card.serial
        lacking = lacking_peers(node, serial)
        if lacking or serial != self._complete_serial:
            self._complete_since = None
        if not lacking and self._complete_since is None:
            self._complete_since, self._complete_serial = now, serial
        return TakenUp(lacking, self._complete_since)

    def _advance(self) -> None:
        node, now = self._node, self._node.clock()
        taken_up = self.taken_up(now)
        node.metrics.rotations.clear()
        if not node.keys.plan.step:
            return
        with changing_plan(node.folder.keys) as file:
            if file.plan != node.keys.plan:
                return  # the node has not taken it up yet, so no peer can have either
            steps = file.plan.step
            for step in steps:
                node.metrics.rotations.labels(step.role, step.phase).inc()
            due = [
                step
                for step in steps
                if not waits_for(step, now, taken_up, node.config.rotation.settle_s) and self._may(step, now)
            ]
            for step in due:
                self._do(file, step, now, taken_up)
        if due:
            self._take_up()
            for step in due:
                self._note(step)

    def _may(self, step: Step, now: datetime) -> bool:
        """Whether nothing else than the card keeps ``step`` back."""
        return step.role != "federation" or may_change_epoch(self._node, step, now)

    def _do(self, file: PlanFile, step: Step, now: datetime, taken_up: TakenUp) -> None:
        folder = self._node.folder
        if taken_up.lacking:
            _log.warning(
                "a key is changed though peers lack the card: they refuse this node until they have it",
                role=step.role,
                peers=list(taken_up.lacking),
            )
        if step.phase == ANNOUNCED:
            switch(folder, file, step, now)
            if step.role != "federation" and not is_key_uri(step.slot) and not is_key_uri(step.to):
                tidy(folder, step)
            return
        if step.role == "log":
            self._keep_log_key(file, step)
        retire(folder, file, step)

    def _keep_log_key(self, file: PlanFile, step: Step) -> None:
        """Note the key that goes, and up to which size it may have signed: it never signs again."""
        node = self._node
        old = next(v for v in node.log.verifiers if v.key.key_id == step.old)
        node.log.sign_with([node.keys.log.private], [old])
        # The next entry is signed by the new key alone; so no size above this bears the old signature.
        size = node.log.append(management_entry("key-change", reason="log-retired")).index
        past = PastLogKey(verifier_key=old.vkey, size_max=size)
        file.save(file.plan.model_copy(update={"past_log_key": (*file.plan.past_log_key, past)}))

    def _note(self, step: Step) -> None:
        what = "switched" if step.phase == ANNOUNCED else "retired"
        _log.info("key changed", role=step.role, step=what, old=step.old, new=step.new)
        self._node.log.append(management_entry("key-change", reason=f"{step.role}-{what}"))

    def _rotate_evidence(self) -> None:
        """Wrap anew what the previous evidence key wrapped; a while after that, delete it."""
        node, now = self._node, self._node.clock()
        if node.keys.previous_evidence is None:
            self._evidence_done_at = None
            return
        if self._evidence_done_at is None:
            done = rotate_evidence_key(node.log)
            self._evidence_done_at = now
            _log.info("evidence key changed", data_keys=done)
            return
        # Whoever sealed under the old key just before the change has committed by now.
        if now < self._evidence_done_at + timedelta(seconds=node.config.rotation.settle_s):
            return
        rotate_evidence_key(node.log, is_noted=False)
        node.folder.key(PREVIOUS_EVIDENCE_KEY).unlink(missing_ok=True)
        self._evidence_done_at = None
        self._take_up()


def lacking_peers(node: Node, serial: int) -> tuple[str, ...]:
    """Return the active peers that have not said that they accepted this node's card ``serial``."""
    accepted = accepted_serials(node.snapshot.roster, node.cards.heard)
    return tuple(i for i, known in accepted.items() if known < serial)


def may_change_epoch(node: Node, step: Step, now: datetime) -> bool:
    """Whether the epoch of the federation secret may be changed as far as records and peers go."""
    if step.phase == ANNOUNCED:
        return step.forced or node.registry.count_under_other_epochs(step.to) == (0, 0)
    epochs = node.cards.epochs()
    has_all = all(step.to in epochs.get(peer.node_id, ()) for peer in node.snapshot.roster.active)
    return has_all or now >= step.wait_until


PHASE_WORDS = {ANNOUNCED: "announced", SWITCHED: "overlap"}
"""What the command line calls each phase."""
