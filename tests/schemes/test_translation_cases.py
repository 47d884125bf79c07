"""The table of cases: tests/cases/translation.toml."""

import tomllib
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import Message

from gateway.schemes import Scheme, UntranslatableError, count_records, present_record, translate_record
from gateway.schemes.ratio import exact_text
from tests.schemes.samples import (
    CASES,
    record,
    shipped,
    simple,
    with_other_version,
    with_points,
    with_replacement,
)

TABLE = tomllib.loads((CASES / "translation.toml").read_text(encoding="utf-8"))["case"]
TRACE_MEMBERS = ("path", "original", "result", "rule", "unrounded", "rounding", "loss", "note")


def scheme_of(named: str | dict[str, str], scheme_id: str) -> Scheme:
    if isinstance(named, dict):
        return simple(scheme_id, **named)
    if named == "points by formula":
        return with_points()
    if named.endswith(" with replacement"):
        return with_replacement(named.removesuffix(" with replacement"))
    if named.endswith(" other version"):
        return with_other_version(named.removesuffix(" other version"))
    return shipped(named)


def plain(value: Any) -> Any:
    """A message as dicts, lists and text; enum values as the words of the schemes; nothing that is unset."""
    if not isinstance(value, Message):
        return value
    result: dict[str, Any] = {}
    for field, content in value.ListFields():
        if field.enum_type is not None:
            names = field.enum_type.values_by_number
            prefix = names[0].name.removesuffix("UNSPECIFIED")
            result[field.name] = names[content].name.removeprefix(prefix).lower().replace("_", "-")
        elif field.is_repeated:
            result[field.name] = [plain(item) for item in content]
        else:
            result[field.name] = plain(content) if isinstance(content, Message) else str(content)
    return result


def at(tree: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(tree, list):
            tree = tree[int(part)] if int(part) < len(tree) else "-"
        else:
            tree = tree.get(part, "-") if isinstance(tree, dict) else "-"
    return tree


def counted(case: dict[str, Any]) -> dict[str, Any]:
    """What the records of a case count together, as the table writes it."""
    records = []
    for columns in case["records"]:
        values = dict(columns)
        node = values.pop("node", "node")
        issuer = scheme_of(values.pop("issuer", case.get("issuer", {})), "issuer")
        records.append(translate_record(record(**values), issuer, node))
    count = count_records(reversed(records), scheme_of(case["reader"], "reader"))
    return {
        "count": {
            r.record_id: " ".join([exact_text(r.counted), r.reason, *r.caps]).rstrip() for r in count.records
        },
        "remainder": {r.record_id: exact_text(r.remainder) for r in count.records if r.remainder},
        "sources": {r.record_id: list(r.sources) for r in count.records if len(r.sources) > 1},
        "courses": {r.record_id: dict(r.courses) for r in count.records if r.courses},
        "sums": {unit: exact_text(amount) for unit, amount in count.sums.items()},
        "totals": {unit: exact_text(amount) for unit, amount in count.totals.items()},
        "similar": [list(pair) for pair in count.similar],
    }


COUNTING = [case for case in TABLE if "records" in case]


@pytest.mark.parametrize("case", COUNTING, ids=[case["number"] for case in COUNTING])
def test_case_of_several_records(case: dict[str, Any]) -> None:
    found = counted(case)
    wanted = {name: case[name] for name in found if name in case}
    assert {name: found[name] for name in wanted} == wanted
    assert {"remainder", "sources", "courses"} & set(case) or not found["remainder"]


SINGLE = [case for case in TABLE if "record" in case]


@pytest.mark.parametrize("case", SINGLE, ids=[case["number"] for case in SINGLE])
def test_case(case: dict[str, Any]) -> None:
    issuer = scheme_of(case["issuer"], "issuer")
    issued = replace(
        record(**case["record"]), originals=(("season", case["season"]),) if "season" in case else ()
    )
    if "reject" in case:
        with pytest.raises(UntranslatableError) as refusal:
            translate_record(issued, issuer, "node")
        assert refusal.value.column == case["reject"]["column"]
        assert case["reject"]["reason"] in refusal.value.reason
        return
    shared = translate_record(issued, issuer, "node")
    tree = plain(shared)
    assert {path: at(tree, path) for path in case.get("shared", {})} == case.get("shared", {})
    steps = [*shared.trace]
    if "reader" in case:
        view = present_record(shared, scheme_of(case["reader"], "reader"))
        tree = plain(view)
        assert {path: at(tree, path) for path in case.get("view", {})} == case.get("view", {})
        steps += view.trace
        if "back" in case:
            again = translate_record(
                record(credits=view.credits[0].value), scheme_of(case["reader"], "reader"), "n"
            )
            home = present_record(again, scheme_of(case["issuer"], "home"))
            assert home.credits[0].value == case["back"]
    found = [{"loss": "", **dict.fromkeys(TRACE_MEMBERS, ""), **plain(step)} for step in steps]
    for wanted in case.get("trace", []):
        assert any(wanted.items() <= step.items() for step in found), (wanted, found)


def test_the_table_is_read_as_it_is_meant() -> None:
    members = {
        "number",
        "about",
        "issuer",
        "reader",
        "record",
        "shared",
        "view",
        "trace",
        "reject",
        "season",
        "back",
    }
    several = {"records", "count", "remainder", "sources", "courses", "sums", "totals", "similar"}
    numbers = [case["number"] for case in TABLE]
    assert len(numbers) == len(set(numbers)) >= 80
    for case in TABLE:
        assert set(case) <= (
            members if "record" in case else {"number", "about", "issuer", "reader"} | several
        )
        assert "reader" in case or "view" not in case
        assert "record" in case or "count" in case
        if "count" in case:
            continue
        assert {"shared", "view", "trace", "reject"} & set(case)
