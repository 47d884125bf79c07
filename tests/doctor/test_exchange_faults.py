"""Faults between two nodes that reach one another: cards, keys, clocks, versions, secrets, limits, grants."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event

from gateway.audit import management_entry
from gateway.doctor.agreement import Wish
from gateway.doctor.step import Side, State
from gateway.errors import AuditLogError, RefusedError
from gateway.learners.subject_token import FederationSecret
from gateway.peers.card import Maintenance
from gateway.peers.roster import SUSPENDED, Roster
from gateway.peers.versions import Versions
from gateway.policy.grants import Access, AccessFile
from gateway.policy.purposes import KINDS, PURPOSES
from gateway.rpc.server import ServerLimits
from gateway.signing.suites import SigningKey
from tests.doctor.clinic import THEM, THIRD, US, Clinic, clock_off, now
from tests.doctor.test_network_faults import assert_verdict


def grant(purposes: list[str], kinds: list[str], *, consent: bool = False, rate: int = 0) -> Access:
    entry = {
        "peer": US,
        "purposes": purposes,
        "kinds": kinds,
        "consent_required": consent,
        "statutory_basis": "" if consent else "a statute",
    }
    rates = [{"peer": US, "calls_per_second": rate}] if rate else []
    return Access.of(AccessFile.model_validate({"grant": [entry] if kinds else [], "rate": rates}))


EMPLOYMENT = Wish(PURPOSES["employment"], (KINDS["course"],))


# Cards and keys


def test_a_peer_that_we_suspended(ward: Clinic) -> None:
    ward.serve()
    ward.know(replace(ward.peer, state=SUSPENDED))
    steps, verdict = ward.examine()
    assert_verdict(verdict, "standing", "PEER_SUSPENDED_HERE", Side.OURS, 'state = "active"')
    assert not {"connection", "tls", "echo"} & {step.name for step in steps}, "it is asked nothing"


def test_a_peer_that_suspended_us(ward: Clinic) -> None:
    ward.know(replace(ward.them.snapshot.roster.peers[US], state=SUSPENDED), at=ward.them)
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "echo", "PEER_SUSPENDED", Side.THEIRS, "suspended this node")


def test_a_peer_that_removed_us_after_the_handshake_let_us_in(ward: Clinic) -> None:
    # The authority is still in the port's list, as it is until connections are renewed.
    ward.them.adopt(roster=Roster.of([ward.them.snapshot.roster.peers[THIRD]]))
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "echo", "UNKNOWN_PEER", Side.THEIRS, "peers add")


def test_their_card_has_expired_here(ward: Clinic) -> None:
    ward.serve()
    old = ward.them.province.peer(expires=now() - timedelta(days=1), issued=now() - timedelta(days=300))
    ward.know(replace(old, endpoints=ward.peer.endpoints))
    _, verdict = ward.examine()
    assert_verdict(verdict, "standing", "CARD_EXPIRED_HERE", Side.OURS, "newest card")


def test_our_card_has_expired_there(ward: Clinic) -> None:
    old = ward.us.province.peer(expires=now() - timedelta(days=1), issued=now() - timedelta(days=300))
    ward.know(old, at=ward.them)
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "our card", "CARD_EXPIRED", Side.THEIRS, "newest card")


def test_they_hold_an_older_card_of_ours(ward: Clinic) -> None:
    ward.us.adopt(card_serial=7)
    ward.serve()
    _, verdict = ward.examine()
    assert (verdict.state, verdict.step, verdict.finding, verdict.side) == (
        State.WARNING,
        "our card",
        "OUR_CARD_OUTDATED",
        Side.THEIRS,
    )
    assert "serial 7" in verdict.remedy


def test_we_hold_an_older_card_of_theirs(ward: Clinic) -> None:
    ward.them.adopt(card_serial=7)
    ward.serve()
    _, verdict = ward.examine()
    assert (verdict.state, verdict.step, verdict.finding, verdict.side) == (
        State.WARNING,
        "their card",
        "THEIR_CARD_OUTDATED",
        Side.OURS,
    )


def test_they_changed_their_key(ward: Clinic) -> None:
    ward.them.adopt(message_keys=(SigningKey.generate(),))
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "their card", "ANSWER_NOT_SIGNED", Side.OURS, "newest card")


def test_we_changed_our_key(ward: Clinic) -> None:
    ward.us.adopt(message_keys=(SigningKey.generate(),))
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "echo", "UNKNOWN_KEY", Side.THEIRS, "accepted there")


def test_they_demand_a_suite_that_we_do_not_sign_with(ward: Clinic) -> None:
    known = ward.them.snapshot.roster.peers[US]
    ward.know(replace(known, required_suites=frozenset({"ed25519", "sm2"})), at=ward.them)
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "signatures", "INVALID_SIGNATURE", Side.OURS, "suite sm2")


# Clocks


@pytest.mark.parametrize("off_s", [-600, -45, 45, 600])
def test_their_clock_is_wrong_when_the_others_agree_with_us(ward: Clinic, off_s: float) -> None:
    ward.them.clock = clock_off(off_s)
    ward.serve(THEM, THIRD)
    steps, verdict = ward.examine()
    assert_verdict(verdict, "clock", "CLOCKS_DIFFER", Side.THEIRS, "set its clock")
    shown = re.search(r"(\d+) s (ahead|behind)", steps[-1].seen)
    assert abs(int(shown[1]) - abs(off_s)) <= 2
    assert shown[2] == ("ahead" if off_s > 0 else "behind")


@pytest.mark.parametrize("off_s", [-600, -45, 45, 600])
def test_our_clock_is_wrong_when_the_others_disagree(ward: Clinic, off_s: float) -> None:
    ward.us.clock = clock_off(off_s)
    ward.serve(THEM, THIRD)
    _, verdict = ward.examine()
    # Ten minutes behind, our clock takes certificates made just now for not valid yet.
    assert_verdict(verdict, verdict.step, "CLOCKS_DIFFER", Side.OURS, "this machine")
    assert verdict.step in {"clock", "certificate"}


def test_with_nobody_to_ask_the_doctor_does_not_guess_whose_clock_it_is(ward: Clinic) -> None:
    ward.them.clock = clock_off(600)
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "clock", "CLOCKS_DIFFER", Side.EITHER, "time server")


def test_a_clock_that_is_about_to_be_refused_is_a_warning(ward: Clinic) -> None:
    ward.them.clock = clock_off(22)
    ward.serve(THEM, THIRD)
    _, verdict = ward.examine()
    assert (verdict.state, verdict.finding, verdict.side) == (State.WARNING, "CLOCKS_DIFFER", Side.THEIRS)


# Versions


def test_a_peer_that_no_longer_speaks_our_version(ward: Clinic) -> None:
    ward.them.adopt(settings=replace(ward.them.snapshot.settings, versions=Versions(2, 3)))
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "version", "UNSUPPORTED_VERSION", Side.OURS, "version 1, shanghai accepts 2 to 3")


def test_a_peer_whose_version_is_too_old_for_us(ward: Clinic) -> None:
    ward.us.adopt(settings=replace(ward.us.snapshot.settings, versions=Versions(2, 3)))
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "version", "VERSION_NOT_SHARED_HERE", Side.THEIRS, "it speaks 1")


# The federation secret

OTHER = FederationSecret("2026", bytes(reversed(range(32))))


@pytest.mark.parametrize(("wrong", "side"), [(THEM, Side.THEIRS), (US, Side.OURS)])
def test_another_secret_under_the_same_name(ward: Clinic, wrong: str, side: Side) -> None:
    ward.federation[wrong].adopt(secrets={"2026": OTHER})
    ward.serve(THEM, THIRD)
    steps, verdict = ward.examine()
    assert_verdict(verdict, "federation secret", "OTHER_SECRET", side, "secret of epoch 2026")
    assert not any(OTHER.key.hex() in f"{step}" for step in steps)


@pytest.mark.parametrize(("wrong", "side"), [(THEM, Side.THEIRS), (US, Side.OURS)])
def test_another_epoch(ward: Clinic, wrong: str, side: Side) -> None:
    ward.federation[wrong].adopt(secrets={"2027": FederationSecret("2027", bytes(32))})
    ward.serve(THEM, THIRD)
    _, verdict = ward.examine()
    assert_verdict(verdict, "federation secret", "OTHER_EPOCH", side, "epoch")


def test_a_peer_that_lacks_our_newest_epoch_is_a_warning(ward: Clinic) -> None:
    secrets = ward.us.snapshot.secrets
    ward.us.adopt(secrets={"2027": FederationSecret("2027", bytes(32)), **secrets})
    ward.serve()
    _, verdict = ward.examine()
    assert (verdict.state, verdict.finding, verdict.side) == (
        State.WARNING,
        "NEWEST_EPOCH_MISSING",
        Side.THEIRS,
    )
    assert "before 2026 ends" in verdict.remedy


def test_no_secret_here(ward: Clinic) -> None:
    ward.us.adopt(secrets={})
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "federation secret", "NO_SECRET_HERE", Side.OURS, "node.toml")


# Size, load, life


def test_a_peer_that_takes_smaller_messages(ward: Clinic) -> None:
    ward.ports[THEM].limits = ServerLimits(message_bytes_max=64 * 1024)
    ward.them.adopt(settings=replace(ward.them.snapshot.settings, message_bytes_max=64 * 1024))
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "message size", "THEIR_MESSAGE_LIMIT_SMALLER", Side.THEIRS, "262144")


def test_a_peer_that_sends_larger_messages_than_we_take(ward: Clinic) -> None:
    ward.ports[THEM].limits = ServerLimits(message_bytes_max=1024 * 1024)
    ward.them.adopt(settings=replace(ward.them.snapshot.settings, message_bytes_max=1024 * 1024))
    ward.serve()
    _, verdict = ward.examine()
    assert (verdict.state, verdict.finding, verdict.side) == (
        State.WARNING,
        "OUR_MESSAGE_LIMIT_SMALLER",
        Side.OURS,
    )


def test_a_peer_that_limits_our_rate(ward: Clinic) -> None:
    ward.them.adopt(access=grant(["employment"], ["course"], rate=1))
    ward.serve()
    ward.examine()
    _, verdict = ward.examine()
    assert_verdict(verdict, "echo", "RATE_EXCEEDED", Side.THEIRS, "it is 1 calls a second now")


def test_an_overloaded_peer(ward: Clinic) -> None:
    ward.ports[THEM].calls_at_once_max = 1
    ward.serve()
    guard = ward.ports[THEM].guard
    assert guard is not None
    with guard._slots:
        _, verdict = ward.examine()
    assert_verdict(verdict, "echo", "OVERLOADED", Side.THEIRS, "Ask again in 1 s")


def test_a_peer_that_is_stopping(ward: Clinic) -> None:
    ward.serve()
    guard = ward.ports[THEM].guard
    assert guard is not None
    guard.drain(0.0, 0.0)
    _, verdict = ward.examine()
    assert_verdict(verdict, "echo", "SHUTTING_DOWN", Side.THEIRS, "is stopping")


def in_maintenance(ward: Clinic) -> None:
    window = Maintenance(now() - timedelta(minutes=5), now() + timedelta(hours=1), {"en": "new disks"})
    ward.know(replace(ward.them.province.peer(serial=2, maintenance=[window]), endpoints=ward.peer.endpoints))
    ward.them.adopt(card_serial=2)


def test_a_peer_that_is_away_for_announced_maintenance(ward: Clinic) -> None:
    in_maintenance(ward)
    steps, verdict = ward.examine()
    assert_verdict(verdict, "maintenance", "IN_MAINTENANCE", Side.THEIRS, "Wait until")
    assert "new disks" in next(step.seen for step in steps if step.name == "maintenance")


def test_a_peer_that_answers_during_its_maintenance(ward: Clinic) -> None:
    in_maintenance(ward)
    ward.serve()
    _, verdict = ward.examine()
    assert verdict.state is State.NOTE


def test_a_peer_whose_database_became_read_only(fresh_ward: Clinic) -> None:
    ward, log = fresh_ward, fresh_ward.them.log
    event.listen(log._database, "checkout", lambda c, _r, _p: c.execute("PRAGMA query_only = 1"))
    log._writes.close()
    with pytest.raises(RefusedError, match="could not be logged"):
        log.append(management_entry("evidence-opened", reason="a-test"))
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "log", "AUDIT_UNAVAILABLE", Side.THEIRS, "database and disk")


def test_our_own_log_is_halted(fresh_ward: Clinic) -> None:
    ward = fresh_ward
    ward.serve()
    ward.us.log.halt(AuditLogError("it was rolled back."))
    _, verdict = ward.examine()
    assert_verdict(verdict, "log", "AUDIT_UNAVAILABLE_HERE", Side.OURS, "credit-gateway check")


# Grants


def test_a_peer_that_grants_us_nothing(ward: Clinic) -> None:
    ward.them.adopt(access=grant([], []))
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "grants to us", "NO_GRANT", Side.THEIRS, "access.toml")


def test_a_purpose_that_is_not_granted(ward: Clinic) -> None:
    ward.them.adopt(access=grant(["admission"], ["course"]))
    ward.serve()
    _, verdict = ward.examine(EMPLOYMENT)
    assert_verdict(verdict, "grants to us", "PURPOSE_NOT_GRANTED", Side.THEIRS, "for employment")


def test_a_kind_that_is_not_granted(ward: Clinic) -> None:
    ward.them.adopt(access=grant(["employment"], ["degree"]))
    ward.serve()
    _, verdict = ward.examine(EMPLOYMENT)
    assert_verdict(verdict, "grants to us", "KIND_NOT_GRANTED", Side.THEIRS, "add course")


def test_a_grant_that_needs_consent(ward: Clinic) -> None:
    ward.them.adopt(access=grant(["employment"], ["course"], consent=True))
    ward.serve()
    _, verdict = ward.examine(replace(EMPLOYMENT, without_consent=True))
    assert_verdict(verdict, "grants to us", "CONSENT_REQUIRED", Side.OURS, "consent")
    assert ward.examine(EMPLOYMENT)[1].state is State.OK


@pytest.mark.parametrize(
    ("left_out", "shown"),
    [
        ([], "employment: all kinds"),
        (["leisure", "unit"], "employment: all kinds but unit, leisure"),
        ([word for word in KINDS if word != "degree"], "employment: degree"),
    ],
)
def test_grants_are_shown_as_briefly_as_they_can_be(ward: Clinic, left_out: list[str], shown: str) -> None:
    ward.them.adopt(access=grant(["employment"], [word for word in KINDS if word not in left_out]))
    ward.serve()
    steps, _ = ward.examine()
    assert next(step.seen for step in steps if step.name == "grants to us") == shown


def test_what_we_do_not_grant_is_a_note(ward: Clinic) -> None:
    ward.us.adopt(access=grant([], []))
    ward.serve()
    steps, verdict = ward.examine()
    assert (verdict.state, steps[-1].finding) == (State.NOTE, "NO_GRANT_HERE")
