"""Two logs about the same exchanges, compared entry by entry."""

from collections.abc import Callable

import pytest

from creditexchange.v1.audit_pb2 import ListSharedEntriesResponse
from gateway.clock import unix_ms
from gateway.errors import PeerFaultError
from gateway.exchange.answering import audit_log
from gateway.exchange.messages import LIST_SHARED_ENTRIES
from gateway.storage import reconcile_rows
from gateway.storage.reconcile_rows import FindingRow
from tests.federation.simulator import Federation, SimulatedNode

SETTLED_S = 600


def findings(node: SimulatedNode, peer: str) -> list[FindingRow]:
    with node.log.reading() as connection:
        return reconcile_rows.list_findings(connection, peer, 100)


def kinds(node: SimulatedNode, peer: str) -> list[str]:
    return [finding.kind for finding in findings(node, peer)]


def tamper_pages(node: SimulatedNode, change: Callable[[ListSharedEntriesResponse], None]) -> None:
    def tampered(response: bytes) -> bytes:
        page = ListSharedEntriesResponse.FromString(response)
        change(page)
        return page.SerializeToString()

    node.wire.response_tampering = tampered


def test_equal_logs_have_no_differences_on_either_side(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    for _ in range(3):
        zhejiang.ask()
    zhejiang.ask("shanghai", purpose=3)  # refused, and logged by both
    shanghai.ask("zhejiang")
    federation.pass_time(SETTLED_S)
    step = zhejiang.reconcile("shanghai")
    assert (step.matched, step.findings, step.done) == (5, 0, True)
    step = shanghai.reconcile("zhejiang")
    assert (step.matched, step.findings) == (5, 0)


def test_it_goes_on_where_it_was(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "ENTRIES_MAX", 2)
    zhejiang = federation["zhejiang"]
    for _ in range(5):
        zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    assert zhejiang.reconcile("shanghai").matched == 5
    zhejiang.wire.carried.clear()
    for _ in range(3):
        zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    step = zhejiang.reconcile("shanghai")
    assert (step.matched, step.findings) == (8, 0)
    pages = [request for peer, request in zhejiang.wire.carried if len(request) < 20]
    assert len(pages) == 2  # three new entries, two a page


def test_young_entries_are_left_for_the_next_time(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask("shanghai")
    step = zhejiang.reconcile("shanghai")
    assert (step.matched, step.findings, step.done) == (0, 0, True)
    federation.pass_time(SETTLED_S)
    assert zhejiang.reconcile("shanghai").matched == 1


def test_since_begins_anew_with_later_entries(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    noon = unix_ms(zhejiang.clock())
    zhejiang.ask("shanghai")
    zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    assert zhejiang.reconcile("shanghai").matched == 3
    assert zhejiang.reconcile("shanghai", since_ms=noon).matched == 2
    assert zhejiang.reconcile("shanghai", since_ms=0).matched == 3


def test_an_answer_that_was_logged_and_never_came_is_a_difference(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]

    def lost(_response: bytes) -> bytes:
        raise PeerFaultError("NO_ANSWER", "no answer")

    zhejiang.wire.response_tampering = lost
    zhejiang.ask("shanghai")
    zhejiang.wire.response_tampering = lambda response: response
    federation.pass_time(SETTLED_S)
    zhejiang.reconcile("shanghai")
    (finding,) = findings(zhejiang, "shanghai")
    assert finding.kind == "outcome-differs"
    assert finding.detail == "here NO_ANSWER with 0 records, there OK with 2"
    federation["shanghai"].reconcile("zhejiang")
    assert kinds(federation["shanghai"], "zhejiang") == ["outcome-differs"]


def test_a_question_that_never_arrived_is_no_difference(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.wire.faults["shanghai"] = PeerFaultError("UNREACHABLE", "no connection")
    zhejiang.ask("shanghai")
    zhejiang.wire.faults.clear()
    zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    assert zhejiang.reconcile("shanghai").findings == 0
    assert federation["shanghai"].reconcile("zhejiang").findings == 0


def test_an_asker_that_hides_its_question_is_named_by_entry_and_by_number(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    zhejiang.ask("shanghai")
    honest, hidden = zhejiang.database, zhejiang.copy_log("hidden.db")
    zhejiang.open_log(hidden)
    zhejiang.ask("shanghai")  # asked, and logged where nobody will see it
    last = zhejiang.log.next_pair_sequence("shanghai")
    zhejiang.open_log(honest)
    while zhejiang.log.next_pair_sequence("shanghai") < last:
        pass
    zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    shanghai.reconcile("zhejiang")
    found = findings(shanghai, "zhejiang")
    assert [finding.kind for finding in found] == ["sequence-gap", "only-ours"]
    assert found[0].detail.startswith("2 of 4 numbered messages")
    assert found[1].our_idx == 1


def test_an_answerer_that_hides_its_answer_is_named(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    honest, hidden = shanghai.database, shanghai.copy_log("hidden.db")
    shanghai.open_log(hidden)
    assert zhejiang.ask("shanghai").peers[0].outcome == "OK"
    shanghai.open_log(honest)
    zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    zhejiang.reconcile("shanghai")
    assert kinds(zhejiang, "shanghai") == ["only-ours"]


def test_a_log_that_no_longer_holds_what_was_compared_is_kept_as_evidence(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    empty = shanghai.copy_log("empty.db")
    zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    zhejiang.reconcile("shanghai")
    shanghai.open_log(empty)
    zhejiang.ask("shanghai")
    zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    with pytest.raises(PeerFaultError) as fault:
        zhejiang.reconcile("shanghai")
    assert fault.value.outcome == "LOG_CONTRADICTS_ITSELF"
    assert len(zhejiang.witness.conflicts()) == 1


def swap_leaf(page: ListSharedEntriesResponse) -> None:
    page.entries[0].leaf = page.entries[0].leaf.replace(b'"count":2', b'"count":3')


def break_proof(page: ListSharedEntriesResponse) -> None:
    page.entries[0].inclusion_proof.append(bytes(32))


def hide_the_rest(page: ListSharedEntriesResponse) -> None:
    page.next_index = 10**6


def repeat(page: ListSharedEntriesResponse) -> None:
    page.entries.append(page.entries[0])


@pytest.mark.parametrize("change", [swap_leaf, break_proof, hide_the_rest, repeat])
def test_a_page_that_proves_nothing_is_refused_and_changes_nothing(
    federation: Federation, change: Callable[[ListSharedEntriesResponse], None]
) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.ask("shanghai")
    federation.pass_time(SETTLED_S)
    tamper_pages(zhejiang, change)
    with pytest.raises(PeerFaultError) as fault:
        zhejiang.reconcile("shanghai")
    assert fault.value.outcome == "ANSWER_MALFORMED"
    with zhejiang.log.reading() as connection:
        assert reconcile_rows.read_reconciliation(connection, "shanghai") is None


def test_a_peer_sees_only_entries_to_which_it_is_a_party(federation: Federation) -> None:
    federation["zhejiang"].ask("shanghai")
    federation["anhui"].ask("shanghai")
    answer = federation["anhui"].audit_of("shanghai").shared_entries(0, 0, 0)
    assert [entry.index for entry in answer.entries] == [1]
    assert b'"asker":"anhui"' in answer.entries[0].leaf
    assert LIST_SHARED_ENTRIES.endswith("ListSharedEntries")
