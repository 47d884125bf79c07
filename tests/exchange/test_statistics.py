"""The report counts what the metrics count, from what cannot be changed afterwards."""

from datetime import timedelta

from gateway.audit.erasure import LEARNER_REQUEST, erase_learner
from gateway.cli.report_commands import as_csv, report_rows
from gateway.cli.report_page import report_page
from gateway.clock import unix_ms
from gateway.errors import PeerFaultError
from gateway.exchange.statistics import Statistics, gather
from gateway.learners.subject_token import subject_token
from tests.federation.provinces import NOW
from tests.federation.simulator import LEARNER, SECRET, STRANGER, Federation, SimulatedNode, all_granted


def counted(node: SimulatedNode, days: float = 1) -> Statistics:
    span = (unix_ms(NOW - timedelta(hours=1)), unix_ms(NOW + timedelta(days=days)))
    with node.log.reading() as connection:
        return gather(connection, node.node_id, node.log.size, span, lambda _ms: 23)


def metric(node: SimulatedNode, direction: str) -> dict[tuple[str, str], int]:
    return {
        (sample.labels["peer"], sample.labels["outcome"]): int(sample.value)
        for family in node.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "credit_gateway_exchanges_total"
        and sample.value
        and sample.labels["direction"] == direction
    }


def reported(node: SimulatedNode, direction: str) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for row in report_rows(counted(node)):
        if row["direction"] == direction:
            place = (row["peer"], row["outcome"])
            found[place] = found.get(place, 0) + row["exchanges"]
    return found


def use(federation: Federation) -> None:
    """Answers, a refusal and a peer that is away."""
    zhejiang = federation["zhejiang"]
    zhejiang.ask("shanghai")
    zhejiang.ask("shanghai", learner_identifier=STRANGER)
    federation["shanghai"].adopt(access=all_granted())
    zhejiang.ask("shanghai")
    zhejiang.wire.faults["shanghai"] = PeerFaultError("NO_ANSWER", "no answer in time.")
    zhejiang.ask("shanghai")


def test_the_report_agrees_with_the_metrics_of_both_sides(federation: Federation) -> None:
    use(federation)
    asked = reported(federation["zhejiang"], "asking")
    assert asked == metric(federation["zhejiang"], "asking")
    assert set(asked) == {
        ("shanghai", "OK"),
        ("shanghai", "PURPOSE_NOT_GRANTED"),
        ("shanghai", "NO_ANSWER"),
    }
    assert reported(federation["shanghai"], "answering") == metric(federation["shanghai"], "answering")


def test_rows_name_purpose_kinds_records_and_the_asker_s_wait(federation: Federation) -> None:
    use(federation)
    (row,) = (row for row in report_rows(counted(federation["zhejiang"])) if row["outcome"] == "OK")
    assert (row["purpose"], row["kinds"], row["exchanges"], row["records"]) == (
        "employment",
        "course+skill-level",
        2,
        2,
    )
    assert row["median_ms"] is not None
    assert all(r["median_ms"] is None for r in report_rows(counted(federation["shanghai"])))


def test_learners_are_counted_once_and_no_more_after_erasure(federation: Federation) -> None:
    use(federation)
    node = federation["shanghai"]
    assert counted(node).learners == {"answering": 2, "asking": 0}
    token = subject_token(SECRET, "resident-id", LEARNER)
    erase_learner(node.log, node.clock, [token], LEARNER_REQUEST)
    after = counted(node)
    assert after.learners == {"answering": 1, "asking": 0}
    assert after.erased_entries["answering"] >= 1
    assert after.acts["erasure"] == 1


def test_other_months_are_not_counted(federation: Federation) -> None:
    use(federation)
    assert report_rows(counted(federation["zhejiang"], days=-0.04)) == []


def test_the_page_holds_every_row_and_loads_nothing(federation: Federation) -> None:
    use(federation)
    statistics = counted(federation["zhejiang"])
    rows = report_rows(statistics)
    page = report_page(statistics, rows, "2026-11", "UTC", 30, NOW)
    assert page.count("<tr>") == 1 + 2 + 1 + len(rows)
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert LEARNER not in page + as_csv(rows)
    assert as_csv(rows).count("\r\n") == 1 + len(rows)
