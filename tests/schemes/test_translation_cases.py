"""The table of cases: tests/cases/translation.toml."""

import tomllib
from typing import Any

import pytest
from google.protobuf.message import Message

from gateway.schemes import Scheme, UntranslatableError, present_record, translate_record
from tests.schemes.samples import CASES, record, shipped, simple, with_other_version

TABLE = tomllib.loads((CASES / "translation.toml").read_text(encoding="utf-8"))["case"]
TRACE_MEMBERS = ("path", "original", "result", "rule", "unrounded", "rounding", "loss", "note")


def scheme_of(named: str | dict[str, str], scheme_id: str) -> Scheme:
    if isinstance(named, dict):
        return simple(scheme_id, **named)
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


@pytest.mark.parametrize("case", TABLE, ids=[case["number"] for case in TABLE])
def test_case(case: dict[str, Any]) -> None:
    issuer = scheme_of(case["issuer"], "issuer")
    issued = record(**case["record"])
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
    found = [{"loss": "", **dict.fromkeys(TRACE_MEMBERS, ""), **plain(step)} for step in steps]
    for wanted in case.get("trace", []):
        assert any(wanted.items() <= step.items() for step in found), (wanted, found)


def test_the_table_is_read_as_it_is_meant() -> None:
    members = {"number", "about", "issuer", "reader", "record", "shared", "view", "trace", "reject"}
    numbers = [case["number"] for case in TABLE]
    assert len(numbers) == len(set(numbers)) >= 30
    for case in TABLE:
        assert set(case) <= members
        assert "reader" in case or "view" not in case
        assert {"shared", "view", "trace", "reject"} & set(case)
