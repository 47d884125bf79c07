"""The diagnosis of one peer: every step in order, then the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from cryptography import x509

from gateway.doctor import agreement, standing
from gateway.doctor.agreement import ANYTHING, Wish
from gateway.doctor.certificate import judge_certificate
from gateway.doctor.clocks import clock_offset_of, judge_clock
from gateway.doctor.network import connect, look_up
from gateway.doctor.opinions import Opinions
from gateway.doctor.refusals import ECHO, read_fault
from gateway.doctor.step import Side, State, Step, Verdict, verdict_of
from gateway.doctor.tls import LeafSource, shake_hands
from gateway.errors import PeerFaultError
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.check import Echo, ask_echo
from gateway.exchange.messages import Snapshot
from gateway.peers.roster import Peer

_TOO_LARGE = frozenset({"BAD_STATUS", "UNREACHABLE", "NO_ANSWER"})
"""How it shows that a request was too large: gRPC, or what stands between, says so without our details."""
_TIME_FINDINGS = frozenset({"CERTIFICATE_EXPIRED", "CERTIFICATE_NOT_YET_VALID"})


@dataclass(frozen=True)
class Doctor:
    """What a diagnosis works with."""

    snapshot: Snapshot
    node: Asking
    leaf: LeafSource

    def diagnose(self, peer: Peer, wish: Wish = ANYTHING) -> Iterator[Step | Verdict]:
        """Yield every step as it is done, the verdict last.

        Each step is tried as far as the ones before allow it: after the first that makes the rest
        impossible the verdict follows. It takes seconds where something does not reply.
        """
        steps: list[Step] = []
        for step in _Diagnosis(self, peer, wish).steps():
            steps.append(step)
            yield step
        yield verdict_of(steps)


@dataclass
class _Diagnosis:
    doctor: Doctor
    peer: Peer
    wish: Wish
    working: list[str] = field(default_factory=list)
    """Endpoints at which the peer itself answers."""

    def __post_init__(self) -> None:
        self.opinions = Opinions(self.peer, self.doctor.snapshot, self.doctor.node)

    def steps(self) -> Iterator[Step]:
        now = self.doctor.node.clock()
        at_home = (
            standing.judge_standing(self.peer, now),
            standing.judge_version(self.peer, self.doctor.snapshot.settings.versions),
            standing.judge_maintenance(self.peer, now),
        )
        yield from at_home
        if any(step.finding in ("PEER_SUSPENDED_HERE", "VERSION_NOT_SHARED_HERE") for step in at_home):
            return
        yield from self._endpoints()
        if self.working:
            yield from self._over_grpc()

    def _endpoints(self) -> Iterator[Step]:
        """Look at all endpoints at once; where one works, faults of the others are warnings."""
        endpoints = self.peer.endpoints
        with ThreadPoolExecutor(len(endpoints), "endpoints") as pool:
            found = list(pool.map(self._endpoint, endpoints))
        for endpoint, steps in zip(endpoints, found, strict=True):
            if all(step.state is not State.FAULT for step in steps):
                self.working.append(endpoint)
        for steps in found:
            yield from (step.eased() for step in steps) if self.working else steps

    def _endpoint(self, endpoint: str) -> list[Step]:
        steps = [look_up(endpoint)]
        if steps[-1].state is not State.FAULT:
            steps.append(connect(endpoint))
        if steps[-1].state is State.FAULT:
            return steps
        shown = shake_hands(endpoint, self.peer, self.doctor.leaf())
        steps.append(self._own_certificate(shown.step))
        if shown.certificate is not None:
            judged = self._timely(
                judge_certificate(
                    shown.certificate, self.peer, self.doctor.snapshot.roster, self.doctor.node.clock()
                )
            )
            if judged.state is State.FAULT and shown.step.state is State.FAULT:
                steps.insert(-1, judged)  # it is the wrong one: no wonder that it does not know us
            else:
                steps.append(judged)
        return steps

    def _own_certificate(self, step: Step) -> Step:
        """Our certificate may be refused because its time is over, and not because nobody knows it."""
        certificate = x509.load_pem_x509_certificate(self.doctor.leaf()[0])
        now = self.doctor.node.clock()
        is_timely = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
        if step.finding != "OUR_CERTIFICATE_REFUSED" or is_timely:
            return step
        remedy = (
            "Restart this node: it renews its certificate when it starts. If it does not, look at its clock."
        )
        return step.found("OUR_CERTIFICATE_EXPIRED", Side.OURS, remedy)

    def _timely(self, step: Step) -> Step:
        """A certificate that is out of its time may be right, and our clock wrong."""
        if step.finding in _TIME_FINDINGS and self.opinions.whose_clock() is Side.OURS:
            remedy = (
                "Set the clock of this machine (run an NTP client there): the other peers agree with "
                "this one."
            )
            return step.found("CLOCKS_DIFFER", Side.OURS, remedy)
        return step

    def _over_grpc(self) -> Iterator[Step]:
        snapshot, node = self.doctor.snapshot, self.doctor.node
        peer = replace(self.peer, endpoints=tuple(self.working))
        step = Step(ECHO, "send a signed echo", "", "the same content, signed by a key of the peer's card")
        try:
            echo = ask_echo(peer, snapshot, node, snapshot.settings.deadline_s)
        except PeerFaultError as fault:
            yield self._failed(step, fault)
            return
        yield replace(
            step, seen=f"it came back after {1000 * echo.elapsed_s:.0f} ms, signed and bound to the request"
        )
        yield judge_clock(echo.clock_offset, snapshot.settings.skew_s, self.opinions)
        yield agreement.judge_our_card(echo.answer, snapshot.card_serial)
        yield agreement.judge_their_card(echo.answer, peer)
        yield self._message_size(peer, echo)
        yield agreement.judge_secret(echo, peer, snapshot, self.opinions)
        yield agreement.judge_log(echo.answer, is_ours_failing=node.log.is_failing)
        yield agreement.judge_grants_to_us(echo.answer.grants, self.wish)
        yield agreement.judge_grants_to_them(snapshot.access, peer.node_id)

    def _failed(self, step: Step, fault: PeerFaultError) -> Step:
        snapshot = self.doctor.snapshot
        offset = clock_offset_of(fault, snapshot.settings.window_s)
        if offset is not None:
            return judge_clock(offset, snapshot.settings.skew_s, self.opinions, is_refused=True)
        return read_fault(step, fault, self.peer.node_id, snapshot.card_serial)

    def _message_size(self, peer: Peer, echo: Echo) -> Step:
        snapshot, ours = self.doctor.snapshot, self.doctor.snapshot.settings.message_bytes_max
        try:
            ask_echo(peer, snapshot, self.doctor.node, snapshot.settings.deadline_s, request_bytes=ours)
        except PeerFaultError as fault:
            if fault.outcome in _TOO_LARGE:
                return agreement.too_large_for_them(ours, echo.answer.message_bytes_max)
            step = Step(ECHO, "send a signed echo of the largest size", "", "it comes back")
            return self._failed(step, fault)
        return agreement.judge_size(echo.answer, ours)
