"""What a province of 65 million people, and a country of 31, need: computed from measured costs."""

from __future__ import annotations

import statistics
from typing import Any

from bench.pages import table, told
from bench.simulation.costs import Costs, Demand
from bench.simulation.provinces import PROVINCES

PROVINCE_M = 65.0
RECORDS_A_PERSON = 20
"""Of 4.3 million archives Shanghai's credit bank held 85 million outcomes in 2021."""
LEARNERS_SHARE = 0.4
"""Who ever has an archive: of Shanghai's people it was one in six, and more each year."""


def measured_costs(results: dict[str, Any], costs: Costs) -> str:
    """Return the page's table of costs and of what they add up to."""
    ours = statistics.median(results["exchange"]["ours"]["server_cpu_us"])
    bulk = results["bulk"]["3_records_a_learner"]["bulk_records_per_cpu_second"]
    exchange, record = results["exchange_bytes"], results["import"]["bytes_a_record"]
    demand = Demand()
    peak = demand.peak_per_second(PROVINCE_M) * demand.peers_asked
    a_year = PROVINCE_M * 1e6 * demand.questions_a_person_and_year * demand.peers_asked
    learners = PROVINCE_M * 1e6 * LEARNERS_SHARE
    records = learners * RECORDS_A_PERSON
    country = sum(place.people_m for place in PROVINCES) / PROVINCE_M
    import_days = records / results["import"]["rows_per_second"] / 86_400
    cores = peak * (ours + costs.ask_cpu_s * 1e6) / 1e6
    entries_gb = 2 * a_year * exchange / 1e9
    rows = [
        ("one exchange, answering", f"{ours:.0f} µs CPU"),
        ("one exchange, asking", f"{costs.ask_cpu_s * 1e6:.0f} µs CPU"),
        ("one record in bulk, both sides", f"{1e6 / bulk:.0f} µs CPU"),
        ("one record imported", f"{1e6 / results['import']['rows_per_cpu_second']:.0f} µs CPU"),
        ("one log entry in a full group", f"{results['audit_appends']['64']['cpu_us']:.0f} µs CPU"),
        ("stored: a record", f"{record:,} B"),
        ("stored: a log entry with its evidence", f"{exchange:,} B"),
        ("a gigabyte holds", f"{1e6 / record:,.0f} k records, or {1e6 / exchange:,.0f} k exchanges"),
        ("**65 million people**: learners, records", f"{learners / 1e6:.0f} M, {records / 1e6:.0f} M"),
        ("records: disk, first import", f"{records * record / 1e12:.1f} TB, {import_days:.1f} days"),
        ("exchanges a year, each way", f"{a_year / 1e6:.0f} M"),
        ("log and evidence of a year", f"{entries_gb:,.0f} GB"),
        ("busiest hour, each way", f"{peak:.0f} exchanges/s"),
        ("cores for it", f"{cores:.2f}"),
        ("**31 provinces**: exchanges a year", f"{a_year * country / 1e9:.1f} thousand million"),
        ("busiest hour", f"{peak * country:,.0f} exchanges/s, {cores * country:.1f} cores"),
    ]
    return f"{told(results)}\n\n{table(('what', 'how much'), rows)}"
