"""The parts of an exchange, each measured alone: translation, signatures, the audit log, bulk."""

from __future__ import annotations

from pathlib import Path

from bench.audit import measure_concurrency, measure_pymerkle, measure_verify
from bench.audit_growth import measure_growth
from bench.bulk import measure_bulk
from bench.reconcile import measure_reconcile
from bench.report import Report
from bench.signing import measure_signing
from bench.translation import measure_translation


def audit_growth(report: Report, folder: Path) -> None:
    """What an append and a proof cost as the log grows, and verifying a whole log."""
    sizes = [1_000, 100_000] if report.quick else [1_000, 100_000, 10_000_000]
    verified = 50_000 if report.quick else 1_000_000
    found, ratio, spread = measure_growth(folder, sizes, 5 if report.quick else 11)
    report.members["audit_growth"] = [
        {
            "entries": figures.entries,
            "append_cpu_us": round(figures.append_cpu_us, 1),
            "append_wall_us": round(figures.append_wall_us, 1),
            "proof_cpu_us": round(figures.proof_cpu_us, 1),
            "proof_bytes": figures.proof_bytes,
        }
        for figures in found
    ]
    for figures in found:
        text = f"{figures.append_cpu_us:.0f} µs CPU; proof {figures.proof_cpu_us:.0f} µs"
        report.row(f"append to {figures.entries:,} entries", f"{text}, {figures.proof_bytes} B")
    how = "CPU of one durable append, SQLite, by turns; older entries of the largest log are random bytes"
    if report.quick:
        report.ratio("log_1e5_vs_1e3", ratio, how, spread)
        report.take_earlier("log_1e7_vs_1e3")
    else:
        report.ratio("log_1e7_vs_1e3", ratio, how, spread)
    report.row("ratio, most entries over least", f"{ratio:.2f}", "at most 1.2")
    per_cpu_second, peak_mb = measure_verify(folder, verified)
    report.members["audit_verify"] = {
        "entries": verified,
        "entries_per_cpu_second": round(per_cpu_second),
        "peak_rss_mb": round(peak_mb, 1),
    }
    report.row(f"verifying {verified:,} entries", f"{per_cpu_second:,.0f}/s a core", "at least 100,000")
    report.row("its peak memory", f"{peak_mb:.0f} MB")


def translation(report: Report, _folder: Path) -> None:
    """Translating one record."""
    figures = measure_translation()
    report.members["translation_cpu_us"] = {
        "import": round(figures.import_us, 1),
        "import_varied": round(figures.varied_us, 1),
        "show": round(figures.show_us, 1),
    }
    report.row("translating a record, CPU", f"{figures.import_us:.0f} µs", "under 20 µs")
    report.row("the same, records little alike", f"{figures.varied_us:.0f} µs", "under 20 µs")
    report.row("showing it in another scheme, CPU", f"{figures.show_us:.0f} µs")


def audit_appends(report: Report, folder: Path) -> None:
    """Durable appends to the audit log, alone and in groups, and pymerkle's on the same disk."""
    appends = 800 if report.quick else 4_000
    members = report.members["audit_appends"] = {}
    for threads in (1, 8, 64):
        figures = measure_concurrency(folder, threads, appends)
        members[str(threads)] = {
            "per_second": round(figures.per_second),
            "cpu_us": round(figures.cpu_us, 1),
            "entries_per_commit": round(figures.group, 1),
        }
        text = f"{figures.per_second:,.0f}/s, {figures.cpu_us:.0f} µs CPU, {figures.group:.1f} a commit"
        report.row(f"durable appends, {threads} at once", text)
    theirs, ours = measure_pymerkle(folder, appends // 4)
    report.members["append_vs_pymerkle"] = round(ours / theirs, 2)
    report.row("one at a time: ours, pymerkle", f"{ours:,.0f}/s, {theirs:,.0f}/s = {ours / theirs:.1f} times")


def audit_reconcile(report: Report, folder: Path) -> None:
    """Comparing two logs about the same exchanges."""
    size = 5_000 if report.quick else 20_000
    per_cpu_second, peak_mb = measure_reconcile(folder, size)
    report.members["audit_reconcile"] = {
        "entries": size,
        "entries_per_cpu_second": round(per_cpu_second),
        "peak_rss_mb": round(peak_mb, 1),
    }
    report.row(f"comparing two logs of {size:,} entries", f"{per_cpu_second:,.0f}/s a core")
    report.row("its peak memory", f"{peak_mb:.0f} MB", "the same for any number")


def signing(report: Report, _folder: Path) -> None:
    """Signatures of each suite."""
    measured = measure_signing(0.05 if report.quick else 0.3)
    report.members["signing"] = measured
    for suite, rates in measured.items():
        told = f"{rates['sign_per_second']:,.0f} / {rates['verify_per_second']:,.0f} a second"
        report.row(f"sign / verify, {suite}", told)


def bulk(report: Report, folder: Path) -> None:
    """Queries about many learners at once, against one at a time."""
    members = report.members["bulk"] = {}
    cases = ((3, "bulk_vs_single_records"), (10, "bulk_vs_single_records_10_a_learner"))
    for a_learner, name in cases[:1] if report.quick else cases:
        found = measure_bulk(folder, 40 if report.quick else 150, a_learner)
        ratio = found.bulk_records_per_cpu_s / found.single_records_per_cpu_s
        members[f"{a_learner}_records_a_learner"] = {
            "single_records_per_cpu_second": round(found.single_records_per_cpu_s),
            "bulk_records_per_cpu_second": round(found.bulk_records_per_cpu_s),
            "held_mb_100_learners": round(found.held_mb_few, 1),
            "held_mb_1000_learners": round(found.held_mb_many, 1),
        }
        how = "records a CPU-second of both sides together, a bulk query over single queries, TLS on loopback"
        report.ratio(name, ratio, how)
        text = f"{found.single_records_per_cpu_s:,.0f} and {found.bulk_records_per_cpu_s:,.0f} records/CPU-s"
        report.row(f"{a_learner} records a learner: single, bulk", text)
        report.row("ratio", f"{ratio:.1f}", "at least 15" if a_learner == 3 else "")
        text = f"{found.held_mb_few:.1f} and {found.held_mb_many:.1f} MB"
        report.row("held while 100 and 1,000 are answered", text, "about the same")
