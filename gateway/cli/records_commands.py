"""``records import|list|export``: what this node holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from google.protobuf.json_format import MessageToDict

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.cli import registry_access
from gateway.cli.output import (
    NodeOption,
    Output,
    OutputOption,
    console,
    print_json,
    say,
    table,
)
from gateway.cli.records_import import import_records
from gateway.cli.records_index import index
from gateway.cli.records_rekey import rekey
from gateway.cli.records_retranslate import retranslate_records
from gateway.cli.records_ruling import restore, revoke
from gateway.errors import CallerError, OperatorError
from gateway.learners.identifier import IDENTIFIER_TYPES, RESIDENT_ID, mask, normalise
from gateway.learners.subject_token import subject_token
from gateway.policy.purposes import kind_word
from gateway.records import RecordTotal, Registry

EXPORT_PAGE_ROWS = 500

records_app = typer.Typer(
    help="The records that this node holds.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

records_app.command("import")(import_records)
records_app.command()(index)
records_app.command()(rekey)
records_app.command("retranslate")(retranslate_records)
records_app.command()(revoke)
records_app.command()(restore)


@records_app.command("list")
def list_records(
    learner: Annotated[
        str, typer.Option(help="Only this learner's; `-` reads the identifier from standard input.")
    ] = "",
    identifier_type: Annotated[
        str, typer.Option(help=f"Type of the identifier: {', '.join(IDENTIFIER_TYPES)}.")
    ] = RESIDENT_ID,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Show how many records are held, by kind and version of the scheme: of everybody, or of one learner.

    The identifier is shown masked and written nowhere. Records that another version of the scheme
    translated are translated again when they are asked for; `records retranslate` does it at once.

    Example: credit-gateway records list --learner -
    """
    identifier = sys.stdin.readline().strip() if learner == "-" else learner.strip()
    if learner and not identifier:
        raise CallerError("--learner is empty.", remedy="Give the identifier, or - to read it.")
    who = mask(normalise(identifier_type, identifier)) if identifier else ""
    with registry_access.open_registry(node) as opened:
        if identifier and not opened.secrets:
            raise OperatorError(
                "this node has no federation secret, so no learner can be looked up.",
                remedy="Put it in place with `credit-gateway init --federation-secret`.",
            )
        tokens = [subject_token(s, identifier_type, identifier) for s in opened.secrets if identifier]
        totals = opened.registry.totals(tokens)
        present = opened.scheme.reference.digest
    if output is Output.json:
        print_json({"learner": who or None, "totals": [_total_json(total, present) for total in totals]})
        return
    rows = table("kind", "scheme", "records", "learners", title=who or None)
    for total in totals:
        scheme = "present" if total.scheme_digest == present else total.scheme_digest.hex()[:12]
        rows.add_row(kind_word(total.kind), scheme, f"{total.records:,}", f"{total.learners:,}")
    console.print(rows)
    say(f"{sum(total.records for total in totals):,} records")


@records_app.command("export")
def export_records(
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
    node: NodeOption = Path(),
) -> None:
    """Write all records as JSON Lines: as imported, and in the shared model; without learners' identifiers.

    Names of holders and numbers of certificates are part of the records: keep the file as safe as
    the registry itself.

    Example: credit-gateway records export --out records.jsonl
    """
    with registry_access.open_registry(node) as opened:
        if out is None:
            _write_export(opened.registry, sys.stdout)
            return
        try:
            file = open(out, "x", encoding="utf-8", opener=_private)  # noqa: SIM115 - Path has no opener
        except OSError as error:
            raise CallerError(f"--out {out}: {error.strerror}.", remedy="Nothing was overwritten.") from error
        with file:
            count = _write_export(opened.registry, file)
    say(f"wrote {count:,} records to {out}")


def _private(path: str, flags: int) -> int:
    """Open a file for this user only."""
    import os

    return os.open(path, flags, 0o600)


def _write_export(registry: Registry, file: TextIO) -> int:
    count, last = 0, ""
    while page := registry.list_(after=last, limit=EXPORT_PAGE_ROWS):
        for record in page:
            line = {
                "record_id": record.record_id,
                "kind": kind_word(record.kind),
                "original": json.loads(record.original),
                "shared": MessageToDict(
                    LearningRecord.FromString(record.translated), preserving_proto_field_name=True
                ),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        count, last = count + len(page), page[-1].record_id
    return count


def _total_json(total: RecordTotal, present: bytes) -> dict[str, Any]:
    return {
        "kind": kind_word(total.kind),
        "scheme_digest": total.scheme_digest.hex(),
        "scheme_is_present": total.scheme_digest == present,
        "records": total.records,
        "learners": total.learners,
    }
