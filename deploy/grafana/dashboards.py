"""Writes the Grafana dashboards beside this file: `make dashboards`. A test demands that they are current.

Import them, or let Grafana provision this folder. They expect Prometheus with the rules of
deploy/prometheus, where `instance` is the node's id.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import TimeZoneBrowser
from grafana_foundation_sdk.models.dashboard import DataSourceRef, DataTransformerConfig

HERE = Path(__file__).parent
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
FAILED = 'outcome!~"OK|CONSENT_REQUIRED|CONSENT_INVALID|PURPOSE_NOT_GRANTED|KIND_NOT_GRANTED"'


def query(expression: str, legend: str = "", *, is_table: bool = False) -> prometheus.Dataquery:
    """Return one query; a table shows its newest values only."""
    made = prometheus.Dataquery().expr(expression).legend_format(legend)
    return made.instant().format("table") if is_table else made


def lines(
    title: str, meaning: str, unit: str, *queries: tuple[str, str], width: int = 12
) -> timeseries.Panel:
    """Return lines over time."""
    panel = timeseries.Panel().title(title).description(meaning).unit(unit).datasource(SOURCE)
    panel = panel.span(width).height(8).min(0) if unit != "s+-" else panel.span(width).height(8).unit("s")
    for number, (expression, legend) in enumerate(queries):
        panel = panel.with_target(query(expression, legend).ref_id(chr(65 + number)))
    return panel


def number(title: str, meaning: str, unit: str, expression: str, legend: str = "") -> stat.Panel:
    """Return present values in large figures."""
    panel = stat.Panel().title(title).description(meaning).unit(unit).datasource(SOURCE).span(6).height(4)
    return panel.with_target(query(expression, legend))


def matrix(title: str, meaning: str, unit: str, expression: str) -> table.Panel:
    """Return who asks whom: a row a node that asks, a column a peer that is asked."""
    return (
        table.Panel()
        .title(title)
        .description(meaning)
        .unit(unit)
        .datasource(SOURCE)
        .span(8)
        .height(8)
        .with_target(query(expression, is_table=True))
        .with_transformation(
            DataTransformerConfig(
                id_val="groupingToMatrix",
                options={"rowField": "instance", "columnField": "peer", "valueField": "Value"},
            )
        )
    )


def page(uid: str, title: str, *variables: str) -> dashboard.Dashboard:
    """Return an empty dashboard whose reader chooses a data source and what ``variables`` name."""
    made = (
        dashboard.Dashboard(title)
        .uid(f"credit-gateway-{uid}")
        .tags(["credit-gateway"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone(TimeZoneBrowser)
        .tooltip(1)
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus").label("Prometheus"))
    )
    for label in variables:
        metric = "credit_gateway_build_info" if label == "instance" else "credit_gateway_peer_in_maintenance"
        variable = dashboard.QueryVariable(label).label({"instance": "Node", "peer": "Peer"}[label])
        made = made.with_variable(
            variable.query(f"label_values({metric}, {label})").datasource(SOURCE).refresh(1)
        )
    return made


def federation() -> dashboard.Dashboard:
    """Who asks whom, how often, how well, how fast."""
    asked = 'credit_gateway_exchanges_total{direction="asking"'
    took = "credit_gateway_exchange_duration_seconds_bucket"
    return (
        page("federation", "Credit gateway: federation")
        .with_row(dashboard.Row("Who asks whom"))
        .with_panel(
            matrix(
                "Questions an hour",
                "Row: the node that asks. Column: the peer.",
                "short",
                f"sum by (instance, peer) (increase({asked}}}[1h]))",
            )
        )
        .with_panel(
            matrix(
                "Share that failed",
                "Without refusals for want of a grant or a consent.",
                "percentunit",
                f"sum by (instance, peer) (increase({asked},{FAILED}}}[1h]))"
                f" / sum by (instance, peer) (increase({asked}}}[1h]))",
            )
        )
        .with_panel(
            matrix(
                "95 % were answered within",
                "From sending to the verified answer.",
                "s",
                f'histogram_quantile(0.95, sum by (instance, peer, le) (increase({took}{{direction="asking"}}[1h])))',
            )
        )
        .with_row(dashboard.Row("Every node"))
        .with_panel(
            number(
                "Nodes that are up",
                "Of those that Prometheus knows.",
                "short",
                'sum(up{job="credit-gateway"})',
            )
        )
        .with_panel(
            number("Alerts", "Firing now.", "short", 'count(ALERTS{alertstate="firing"}) or vector(0)')
        )
        .with_panel(
            number(
                "Contradictions",
                "Signed heads that contradict one another.",
                "short",
                "sum(credit_gateway_log_conflicts)",
            )
        )
        .with_panel(
            number(
                "Longest silence",
                "Of any peer.",
                "s",
                "max(time() - credit_gateway_peer_last_heard_timestamp_seconds)",
            )
        )
        .with_panel(
            lines(
                "Answers",
                "By node.",
                "reqps",
                (
                    'sum by (instance) (rate(credit_gateway_exchanges_total{direction="answering"}[5m]))',
                    "{{instance}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Error budget: valid queries that were not answered",
                "Over an hour; the budget is 0.1 %.",
                "percentunit",
                (
                    (
                        "increase(instance:credit_gateway_answers:failed_total[1h])"
                        " / increase(instance:credit_gateway_answers:valid_total[1h])"
                    ),
                    "{{instance}}",
                ),
            )
        )
    )


def peer() -> dashboard.Dashboard:
    """One peer as one node sees it."""
    here = 'instance="$instance",peer="$peer"'
    took = f"credit_gateway_exchange_duration_seconds_bucket{{{here}}}"
    return (
        page("peer", "Credit gateway: one peer", "instance", "peer")
        .with_panel(
            number(
                "Last heard",
                "Any sign of life.",
                "s",
                f"time() - credit_gateway_peer_last_heard_timestamp_seconds{{{here}}}",
            )
        )
        .with_panel(
            number(
                "Card expires in",
                "The card that this node holds.",
                "s",
                f"credit_gateway_card_expiry_timestamp_seconds{{{here}}} - time()",
            )
        )
        .with_panel(
            number(
                "TLS authority expires in",
                "The soonest of its authorities.",
                "s",
                f'credit_gateway_certificate_expiry_timestamp_seconds{{{here},certificate="ca"}} - time()',
            )
        )
        .with_panel(
            number(
                "Left alone for",
                "0: it is asked.",
                "s",
                f"credit_gateway_peer_left_alone_seconds{{{here}}}",
            )
        )
        .with_panel(
            lines(
                "Exchanges by outcome",
                "Both directions.",
                "reqps",
                (
                    f"sum by (direction, outcome) (rate(credit_gateway_exchanges_total{{{here}}}[5m]))",
                    "{{direction}} {{outcome}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Duration",
                "Median and 99 %.",
                "s",
                (f"histogram_quantile(0.5, sum by (le, direction) (rate({took}[5m])))", "{{direction}} 50 %"),
                (
                    f"histogram_quantile(0.99, sum by (le, direction) (rate({took}[5m])))",
                    "{{direction}} 99 %",
                ),
            )
        )
        .with_panel(
            lines(
                "Refusals by reason",
                "What this node refused.",
                "reqps",
                (f"sum by (reason) (rate(credit_gateway_refusals_total{{{here}}}[5m]))", "{{reason}}"),
            )
        )
        .with_panel(
            lines(
                "Clock of the peer, ahead of ours",
                "Beyond 30 s messages are refused.",
                "s+-",
                (f"credit_gateway_peer_clock_offset_seconds{{{here}}}", "offset"),
            )
        )
        .with_panel(
            lines(
                "Records",
                "Sent and received.",
                "short",
                (f"sum by (direction) (rate(credit_gateway_records_total{{{here}}}[5m]))", "{{direction}}"),
            )
        )
        .with_panel(
            lines(
                "Retries, second messages, replays, bad signatures",
                "All should be rare.",
                "reqps",
                (f"rate(credit_gateway_retries_total{{{here}}}[5m])", "retries"),
                (f"rate(credit_gateway_hedges_total{{{here}}}[5m])", "second messages"),
                (f"rate(credit_gateway_replays_total{{{here}}}[5m])", "replays"),
                (f"sum(rate(credit_gateway_signature_failures_total{{{here}}}[5m]))", "bad signatures"),
            )
        )
    )


def trust() -> dashboard.Dashboard:
    """The audit log, its witnesses, what peers still have to be told."""
    here = 'instance="$instance"'
    return (
        page("trust", "Credit gateway: audit and trust", "instance")
        .with_panel(
            number("Entries", "Of the audit log.", "short", f"credit_gateway_audit_log_entries{{{here}}}")
        )
        .with_panel(
            number("Contradictions", "Must be 0.", "short", f"credit_gateway_log_conflicts{{{here}}}")
        )
        .with_panel(
            number("Halted", "1: nothing is appended.", "short", f"credit_gateway_audit_log_halted{{{here}}}")
        )
        .with_panel(
            number(
                "Newest checkpoint",
                "Age.",
                "s",
                f"time() - credit_gateway_checkpoint_timestamp_seconds{{{here}}}",
            )
        )
        .with_panel(
            lines(
                "Witnesses: entries not cosigned yet",
                "Should return to 0 within seconds.",
                "short",
                (f"instance_witness:credit_gateway_witness_lag:entries{{{here}}}", "{{witness}}"),
            )
        )
        .with_panel(
            lines(
                "Witnesses: age of the last cosignature",
                "Stands while the log does not grow.",
                "s",
                (f"time() - credit_gateway_cosigned_timestamp_seconds{{{here}}}", "{{witness}}"),
            )
        )
        .with_panel(
            lines(
                "Differences with peers' logs",
                "audit reconcile lists them.",
                "short",
                (f"credit_gateway_reconcile_findings{{{here}}}", "{{peer}}"),
            )
        )
        .with_panel(
            lines(
                "Last comparison with peers' logs",
                "Age.",
                "s",
                (f"time() - credit_gateway_reconciled_timestamp_seconds{{{here}}}", "{{peer}}"),
            )
        )
        .with_panel(
            lines(
                "Keys and cards under way",
                "Keys that are being replaced here; newer cards that peers sent.",
                "short",
                (f"credit_gateway_key_rotations{{{here}}}", "{{role}} {{phase}}"),
                (
                    f"sum by (peer, outcome) (increase(credit_gateway_peer_cards_total{{{here}}}[1h]))",
                    "{{peer}} {{outcome}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Peers must still be told",
                "Erasures, changes, revoked consents.",
                "short",
                (f"credit_gateway_notices_pending{{{here}}}", "{{kind}}"),
                (f"credit_gateway_consent_revocations_pending{{{here}}}", "revoked consents"),
            )
        )
        .with_panel(
            lines(
                "Writing the log",
                "A commit and how many items it makes durable.",
                "s",
                (
                    f"histogram_quantile(0.99, sum by (le) (rate(credit_gateway_group_commit_duration_seconds_bucket{{{here}}}[5m])))",
                    "commit, 99 %",
                ),
            )
        )
    )


def health() -> dashboard.Dashboard:
    """One node: load, steps, databases, process."""
    here = 'instance="$instance"'
    return (
        page("node", "Credit gateway: node health", "instance")
        .with_panel(
            number(
                "Version", "Of the program.", "short", f"credit_gateway_build_info{{{here}}}", "{{version}}"
            )
        )
        .with_panel(number("Up since", "", "s", f"time() - process_start_time_seconds{{{here}}}"))
        .with_panel(
            number(
                "Configuration",
                "Age of what is in force.",
                "s",
                f"time() - credit_gateway_config_loaded_timestamp_seconds{{{here}}}",
            )
        )
        .with_panel(
            number("Records", "In the registry.", "short", f"credit_gateway_registry_records{{{here}}}")
        )
        .with_panel(
            lines(
                "Steps of an answer, 99 %",
                "log slow: the disk; find slow: the registry or a source.",
                "s",
                (
                    f"histogram_quantile(0.99, sum by (le, step) (rate(credit_gateway_step_duration_seconds_bucket{{{here}}}[5m])))",
                    "{{step}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Calls at once",
                "Beyond the limit they are refused.",
                "short",
                (f"credit_gateway_calls_in_flight{{{here}}}", "in flight"),
                (f"credit_gateway_calls_in_flight_limit{{{here}}}", "limit"),
                (f"credit_gateway_bulk_answers_in_flight{{{here}}}", "in bulk"),
                (f"credit_gateway_group_commit_waiting{{{here}}}", "waiting for a commit"),
            )
        )
        .with_panel(
            lines(
                "Items a commit",
                "",
                "short",
                (
                    (
                        f"rate(credit_gateway_group_commit_entries_sum{{{here}}}[5m])"
                        f" / rate(credit_gateway_group_commit_entries_count{{{here}}}[5m])"
                    ),
                    "mean",
                ),
            )
        )
        .with_panel(
            lines(
                "Database connections",
                "",
                "short",
                (f"credit_gateway_database_connections{{{here}}}", "{{database}} {{state}}"),
            )
        )
        .with_panel(
            lines(
                "Databases",
                "Size.",
                "bytes",
                (f"credit_gateway_database_size_bytes{{{here}}}", "{{database}}"),
            )
        )
        .with_panel(
            lines(
                "What failed",
                "Each has a log line.",
                "reqps",
                (f"rate(credit_gateway_audit_log_failures_total{{{here}}}[5m])", "audit log"),
                (f"rate(credit_gateway_source_failures_total{{{here}}}[5m])", "source {{source}}"),
                (f"rate(credit_gateway_upkeep_failures_total{{{here}}}[5m])", "upkeep {{work}}"),
                (
                    f'rate(credit_gateway_reloads_total{{{here},outcome="refused"}}[5m])',
                    "refused configuration",
                ),
            )
        )
        .with_panel(
            lines(
                "Workers",
                "With --workers only.",
                "short",
                (f"credit_gateway_workers{{{here}}}", "serving"),
                (f"credit_gateway_workers_wanted{{{here}}}", "wanted"),
                (f"increase(credit_gateway_worker_restarts_total{{{here}}}[1h])", "restarts of {{worker}}"),
            )
        )
        .with_panel(
            lines(
                "Translation",
                "Values without a rule, and records of an old scheme.",
                "short",
                (
                    f"sum by (loss) (rate(credit_gateway_translation_failures_total{{{here}}}[5m]))",
                    "{{loss}}",
                ),
                (f"credit_gateway_registry_records_outdated{{{here}}}", "outdated records"),
            )
        )
        .with_panel(
            lines(
                "Process",
                "Memory.",
                "bytes",
                (f"process_resident_memory_bytes{{{here}}}", "resident"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Processor", "", "short", (f"rate(process_cpu_seconds_total{{{here}}}[5m])", "cores"), width=8
            )
        )
        .with_panel(
            lines(
                "Open files",
                "",
                "short",
                (f"process_open_fds{{{here}}}", "open"),
                (f"process_max_fds{{{here}}}", "limit"),
                width=8,
            )
        )
    )


def rendered() -> dict[str, str]:
    """Return the content of each file by its name."""
    pages = {"federation": federation, "peer": peer, "trust": trust, "node": health}
    return {
        f"{name}.json": JSONEncoder(sort_keys=True, indent=1).encode(make().build()) + "\n"
        for name, make in pages.items()
    }


if __name__ == "__main__":
    for file, text in rendered().items():
        (HERE / file).write_text(text, encoding="utf-8")
        sys.stdout.write(f"written: {file}\n")
