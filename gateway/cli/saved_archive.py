"""``archive save``, ``open``, ``compare``: the learner's own encrypted file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gateway.cli.archive_commands import OwnOption, export_request, exported, warn_of_gaps
from gateway.cli.learner_option import IdentifierTypeOption, LearnerOption
from gateway.cli.new_file import write_new
from gateway.cli.output import (
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    console,
    folder_at,
    print_json,
    say,
    table,
)
from gateway.cli.search_options import (
    STATUTORY_DUTY,
    BasisOption,
    ConsentOption,
    KindOption,
    PeerOption,
    PurposeOption,
)
from gateway.errors import CallerError
from gateway.exports.archive_file import FILE_BYTES_MAX, ArchiveFileError, decrypt, encrypt
from gateway.exports.archive_package import Evidence, OpenedArchive, open_package, record_name
from gateway.exports.comparing import Difference, compare, title_in
from gateway.exports.exporting import SAVED
from gateway.learners.identifier import RESIDENT_ID
from gateway.node.config import CONFIG_FILE, load_config
from gateway.peers.roster import load_roster
from gateway.signing.key_files import read_private_file

PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File (mode 0600) with the passphrase; default: it is asked for."),
]


def save(
    learner: LearnerOption,
    out: Annotated[Path, typer.Option(help="File to write; one that is there is not overwritten.")],
    purpose: PurposeOption = "",
    own: OwnOption = False,
    kind: KindOption = None,
    peer: PeerOption = None,
    basis: BasisOption = STATUTORY_DUTY,
    consent: ConsentOption = None,
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    passphrase_file: PassphraseOption = None,
    node: NodeOption = Path(),
) -> None:
    """Save a learner's archive in a file of their own, encrypted under their passphrase.

    The file holds the archive as verifiable credentials, and what the peers signed. It may lie anywhere;
    without the passphrase it says nothing, and nobody can recover a lost one. It is an age file:
    `age --decrypt` opens it too.

    Exit status 0 when every peer answered, 1 when one gave nothing for a reason.

    Example: credit-gateway archive save --learner - --purpose personal-archive --out my.archive
    """
    request = export_request(
        learner, identifier_type, purpose, kind, peer, basis, consent, is_own=own, form=SAVED
    )
    passphrase = _passphrase(passphrase_file, is_new=True)
    with write_new(out) as file:
        response = exported(request, node)
        file.write(encrypt(response.content, passphrase))
    say(f"{out}: {response.record_count} records, encrypted, attested by {response.issuer}")
    warn_of_gaps(response)


def open_(
    file: Annotated[Path, typer.Argument(help="The encrypted archive.")],
    since: Annotated[
        Path | None, typer.Option(help="An earlier archive: show what has changed since.")
    ] = None,
    extract: Annotated[
        Path | None, typer.Option(help="Write the credential in it to this file, for other verifiers.")
    ] = None,
    passphrase_file: PassphraseOption = None,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Open an encrypted archive and verify every signature in it, offline.

    Shown is who attests each record: the node that made the file, and for a record of a peer also that
    peer's own signed answer. In a node's folder the cards in the evidence are compared with those of the
    known peers. Whether a record still holds, its status list says, not the file.

    Example: credit-gateway archive open my.archive
    """
    passphrase = _passphrase(passphrase_file)
    content = _decrypted(file, passphrase)
    opened = open_package(content)
    if extract is not None:
        with write_new(extract) as target:
            target.write(json.dumps(json.loads(content)["credential"], ensure_ascii=False).encode())
    known = _known_cards(node)
    if output is Output.json:
        print_json(_json(opened, known))
    else:
        _show(opened, known)
    if since is not None:
        _show_differences(
            compare(open_package(_decrypted(since, passphrase)).archive, opened.archive), output
        )


def compare_(
    old: Annotated[Path, typer.Argument(help="The earlier archive.")],
    new: Annotated[Path, typer.Argument(help="The later archive.")],
    passphrase_file: PassphraseOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Show what changed from one archive file to a later one of the same passphrase.

    Exit status 0 when nothing changed, 1 when something did.

    Example: credit-gateway archive compare last-year.archive my.archive
    """
    passphrase = _passphrase(passphrase_file)
    before, after = (open_package(_decrypted(path, passphrase)).archive for path in (old, new))
    found = compare(before, after)
    _show_differences(found, output)
    if found:
        raise typer.Exit(EXIT_NO)


def _passphrase(file: Path | None, *, is_new: bool = False) -> str:
    """Return the passphrase from a file, else as it is typed; a new one is typed twice."""
    if file is not None:
        return read_private_file(file).decode("utf-8", "replace").rstrip("\r\n")
    if not sys.stdin.isatty():
        raise CallerError("nobody is there to type the passphrase.", remedy="Give --passphrase-file FILE.")
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new))


def _decrypted(path: Path, passphrase: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CallerError(f"{path}: {error.strerror}.", remedy="Check the path.") from error
    try:
        return decrypt(content, passphrase)
    except ArchiveFileError as error:
        raise ArchiveFileError(f"{path.name}: {error.message}", remedy=error.remedy) from error


def _known_cards(node: Path) -> dict[str, str]:
    """Return the fingerprints of the known peers' cards by node id; none outside a node's folder."""
    folder = folder_at(node)
    if not (folder.root / CONFIG_FILE).exists():
        return {}
    config = load_config(folder.root)
    roster = load_roster(folder.peers, config.node.id, config.policy.required_suites)
    return {peer.node_id: peer.card.fingerprint for peer in roster.peers.values()}


def _trust(evidence: Evidence | None, known: dict[str, str]) -> str:
    if evidence is None:
        return ""
    card = evidence.card_fingerprint[:16]
    if known.get(evidence.node_id) == evidence.card_fingerprint:
        return f"signed by {evidence.node_id}, its card is the known one"
    return f"signed by {evidence.node_id}; compare the card's fingerprint {card}…"


def _show(opened: OpenedArchive, known: dict[str, str]) -> None:
    archive = opened.archive
    say(f"Archive of {archive.holder_name or 'a person without name'}, made on {archive.issued:%Y-%m-%d}")
    say(f"by {archive.issuer_name}: {archive.issuer}")
    say(f"Every signature verified. Key: {archive.key_name}; whose it is, the issuer's DID document says.")
    for note in archive.notes:
        say(f"Note: {note}")
    rows = table("source", "awarded", "kind", "title", "credits", "grade", "status", "evidence of the source")
    for each in archive.credentials:
        record = each.record
        cells = (
            str(record.get("sourceNode", "")),
            str(record.get("awardedOn", "")),
            str(record.get("recordKind", "")),
            title_in(record),
            ", ".join(str(credit.get("asIssued", "")) for credit in record.get("credit", [])),
            str(record.get("grade", {}).get("asIssued", "")),
            str(record.get("recordState", "")),
            _trust(opened.evidence.get(record_name(each)), known),
        )
        rows.add_row(*(Text(cell) for cell in cells))
    console.print(rows)


def _json(opened: OpenedArchive, known: dict[str, str]) -> dict[str, Any]:
    archive = opened.archive
    return {
        "issuer": archive.issuer,
        "key": archive.key_name,
        "issued": archive.issued.isoformat(),
        "holder": archive.holder_name or None,
        "notes": list(archive.notes),
        "records": [
            {
                "record": each.record,
                "credential_id": each.credential_id,
                "status": list(each.status),
                "evidence": None
                if (evidence := opened.evidence.get(record_name(each))) is None
                else {
                    "node": evidence.node_id,
                    "card_fingerprint": evidence.card_fingerprint,
                    "card_is_known": known.get(evidence.node_id) == evidence.card_fingerprint,
                    "log": evidence.logged_by,
                },
            }
            for each in archive.credentials
        ],
    }


def _show_differences(differences: list[Difference], output: Output) -> None:
    if output is Output.json:
        print_json(
            [
                {
                    "what": each.kind,
                    "record": each.name,
                    "title": each.title,
                    "changes": {name: {"from": a, "to": b} for name, (a, b) in each.changes.items()},
                }
                for each in differences
            ]
        )
        return
    if not differences:
        say("nothing has changed")
        return
    rows = table("what", "record", "title", "member", "before", "after")
    for each in differences:
        for name, (before, after) in each.changes.items() or [("", ("", ""))]:
            cells = (each.kind, each.name, each.title, name, _short(before), _short(after))
            rows.add_row(*(Text(cell) for cell in cells))
    console.print(rows)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:119]}…"
