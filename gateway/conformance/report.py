"""Results as JSON for programs and as JUnit XML for build servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from gateway.conformance.run import CaseResult
from gateway.peers.card import Card


def as_json(card: Card, results: Sequence[CaseResult]) -> dict[str, Any]:
    """Return the report as one JSON object."""
    return {
        "node": card.node_id,
        "card_fingerprint": card.fingerprint,
        "counts": counts(results),
        "cases": [
            {
                "id": result.case.id,
                "rule": f"docs/protocol.md, {result.case.section}",
                "sent": result.case.sent,
                "must": result.case.must.text,
                "happened": result.happened,
                "outcome": result.outcome,
                "milliseconds": round(result.elapsed_s * 1000),
            }
            for result in results
        ],
    }


def as_junit(card: Card, results: Sequence[CaseResult]) -> bytes:
    """Return the report as JUnit XML; a case that was not run is ``skipped``."""
    number = counts(results)
    suite = ET.Element(
        "testsuite",
        name=f"conformance of {card.node_id}",
        tests=str(len(results)),
        failures=str(number["failed"]),
        errors="0",
        skipped=str(number["not run"]),
        time=f"{sum(result.elapsed_s for result in results):.3f}",
    )
    for result in results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"docs/protocol.md, {result.case.section}",
            name=result.case.id,
            time=f"{result.elapsed_s:.3f}",
        )
        if result.outcome == "failed":
            text = f"sent {result.case.sent}; must be {result.case.must.text}; happened: {result.happened}"
            ET.SubElement(case, "failure", message=_printable(result.happened)).text = _printable(text)
        elif result.outcome == "not run":
            ET.SubElement(case, "skipped", message=_printable(result.happened))
    document: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document


def counts(results: Sequence[CaseResult]) -> dict[str, int]:
    """Return how many cases passed, failed and were not run."""
    found = Counter(result.outcome for result in results)
    return {outcome: found[outcome] for outcome in ("passed", "failed", "not run")}


def has_passed(results: Sequence[CaseResult]) -> bool:
    """Whether every case passed; one that was not run has not."""
    return counts(results)["passed"] == len(results)


def _printable(text: str) -> str:
    """Return ``text``, parts of which the node chose, without what XML cannot hold."""
    return "".join(character if character.isprintable() else "?" for character in text)
