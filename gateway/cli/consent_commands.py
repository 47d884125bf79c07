"""``consent grant|show|revoke|list``: a learner's consent is given, read, taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from creditexchange.v1.consent_pb2 import Consent
from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.operator_pb2 import (
    GrantConsentRequest,
    IssuedConsent,
    ListIssuedConsentsRequest,
    WithdrawConsentRequest,
)
from gateway.cli.audit_story import Language, Names
from gateway.cli.consent_words import AUTHENTICATIONS, consent_text, kind_in
from gateway.cli.learner_option import IdentifierTypeOption, LearnerOption, learner_of
from gateway.cli.local_node import local_node
from gateway.cli.output import (
    NodeOption,
    Output,
    OutputOption,
    complain,
    console,
    folder_at,
    print_json,
    say,
    table,
)
from gateway.clock import from_unix_ms, system_clock, unix_ms
from gateway.errors import CallerError, EnvelopeError, RefusedError
from gateway.learners.identifier import RESIDENT_ID
from gateway.node.config import load_config
from gateway.peers.roster import load_roster
from gateway.policy.consent import CONSENT_TYPE, read_consent
from gateway.policy.purposes import KINDS, PURPOSES, kind_word, parse_kind, parse_purpose, purpose_word
from gateway.signing import dsse
from gateway.signing.key_files import write_private_file

EVERY_NODE = "all"

consent_app = typer.Typer(
    no_args_is_help=True, help="A learner's consent: grant, show, revoke, list.", rich_markup_mode=None
)
LanguageOption = Annotated[Language, typer.Option("--language", help="Language of the text: en or zh.")]


@consent_app.command()
def grant(
    learner: LearnerOption,
    organisation: Annotated[
        str,
        typer.Option(help="For whom it asks: the organisation, as the learner knows it."),
    ],
    purpose: Annotated[str, typer.Option(help=f"Why: {', '.join(PURPOSES)}.")],
    kind: Annotated[list[str], typer.Option(help=f"Which kinds: {', '.join(KINDS)}. Repeatable.")],
    answerer: Annotated[
        list[str], typer.Option(help="Node that may answer; repeatable. `all` = every node, later ones too.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write: DSSE JSON, for this user only.")],
    asker: Annotated[str, typer.Option(help="Node that may ask. Default: this node.")] = "",
    until: Annotated[
        str, typer.Option(help="Last day, or instant with time zone (default UTC). Default: in 30 days.")
    ] = "",
    authentication: Annotated[
        str, typer.Option(help=f"How you made sure who it is: {', '.join(AUTHENTICATIONS)}.")
    ] = "in-person",
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    language: LanguageOption = Language.en,
    yes: Annotated[bool, typer.Option("--yes", help="The learner has agreed already; do not ask.")] = False,
    node: NodeOption = Path(),
) -> None:
    """Show a learner what is to be consented to, and sign it when the learner agrees.

    Let the learner read the text that is shown, or read it aloud. The file names the learner by
    pseudonym only; it is worth nothing to any node but the one that may ask. This node keeps the
    consent too, encrypted, and finds it for `query --basis consent`.

    Example: credit-gateway consent grant --learner - --organisation "Ningbo Employment Service" \
    --purpose employment --kind degree --kind skill-level --answerer shanghai --out consent.json
    """
    if out.exists():
        raise CallerError(f"{out} exists already.", remedy="Name another file; nothing was signed.")
    folder = folder_at(node)
    request = GrantConsentRequest(
        learner_identifier=learner_of(learner, identifier_type),
        identifier_type=identifier_type,
        asking_node_id=asker or load_config(folder.root).node.id,
        asking_organisation=organisation,
        answering_node_ids=[] if answerer == [EVERY_NODE] else answerer,
        every_node_may_answer=answerer == [EVERY_NODE],
        purpose=parse_purpose(purpose),  # type: ignore[arg-type]
        kinds=[parse_kind(word) for word in dict.fromkeys(kind)],  # type: ignore[misc]
        end_ms=unix_ms(_end_of(until)),
        authentication=_authentication(authentication),  # type: ignore[arg-type]
    )
    say(consent_text(_preview(request), _names(node), language))
    if not yes:
        typer.confirm({"en": "Does the learner agree?", "zh": "本人是否同意？"}[language.value], abort=True)
    with local_node(folder) as local:
        message = local.grant_consent(request).message
    # The file holds a pseudonym: it is for this user only.
    write_private_file(out, f"{dsse.to_json(message)}\n".encode())
    say(f"consent {read_consent(message).consent_id.hex()} is kept here and written to {out}.")


@consent_app.command()
def show(
    file: Annotated[Path, typer.Argument(help="The consent, DSSE JSON.")],
    language: LanguageOption = Language.en,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Show what a consent in a file allows. Whether it is good is for the answering node to say."""
    consent = read_consent(load_consent(file))
    if output is Output.json:
        print_json(_facts(consent))
        return
    say(consent_text(consent, _names(node), language))
    say(f"consent {consent.consent_id.hex()}, issued by {consent.issuing_node_id}")


@consent_app.command()
def revoke(
    consent_id: Annotated[str, typer.Argument(help="The consent's id, 32 hexadecimal digits, or its file.")],
    node: NodeOption = Path(),
) -> None:
    """Take back a consent that this node issued. It cannot be brought back; grant a new one instead.

    The peers whom it concerns are told at once by signed message, those who are away until they
    confirm. What was answered before stays answered.
    """
    with local_node(folder_at(node)) as local:
        done = local.withdraw_consent(WithdrawConsentRequest(consent_id=_id_of(consent_id)))
    say(f"taken back; {done.confirmed} of {done.concerned} peers that it concerns have confirmed.")
    if done.confirmed < done.concerned:
        complain("The others are told as soon as they can be reached, while this node runs.")


@consent_app.command("list")
def list_(
    learner: Annotated[str, typer.Option(help="Only this learner's; `-` reads the identifier.")] = "",
    identifier_type: IdentifierTypeOption = RESIDENT_ID,
    language: LanguageOption = Language.en,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """List the consents that this node issued, the newest first. Nobody is named."""
    request = ListIssuedConsentsRequest(identifier_type=identifier_type)
    if learner:
        request.learner_identifier = learner_of(learner, identifier_type)
    with local_node(folder_at(node)) as local:
        issued = local.issued_consents(request).consents
    if output is Output.json:
        print_json([_issued_facts(row) for row in issued])
        return
    shown = table("consent", "state", "until", "who asks", "who answers", "purpose", "kinds")
    for row in issued:
        facts = _issued_facts(row)
        kinds = read_consent(row.message).kinds if row.HasField("message") else ()
        shown.add_row(
            facts["consent"],
            facts["state"],
            facts["until"],
            facts.get("organisation", ""),
            ", ".join(facts.get("answerers", ())),
            facts.get("purpose", ""),
            ", ".join(kind_in(language, kind) for kind in kinds),
        )
    console.print(shown)


def load_consent(path: Path) -> SignedMessage:
    """Read a consent from a DSSE JSON file; nothing is verified yet.

    Raises:
        CallerError: it is no such file.
    """
    try:
        message = dsse.from_json(path.read_bytes())
        if message.payload_type != CONSENT_TYPE:
            raise CallerError(f"{path} holds no consent.")
        read_consent(message)
    except OSError as error:
        raise CallerError(f"{path} cannot be read: {error.strerror}.") from error
    except (EnvelopeError, RefusedError) as error:
        raise CallerError(
            f"{path} holds no consent: {error}", remedy="Give the file that `consent grant` wrote."
        ) from error
    return message


def _preview(request: GrantConsentRequest) -> Consent:
    """Return the consent as it will be signed, as far as the text needs it."""
    consent = Consent(
        asking_node_id=request.asking_node_id,
        asking_organisation=request.asking_organisation,
        answering_node_ids=request.answering_node_ids,
        every_node_may_answer=request.every_node_may_answer,
        purpose=request.purpose,
        kinds=request.kinds,
        authentication=request.authentication,
    )
    consent.end_time.FromMilliseconds(request.end_ms)
    return consent


def _end_of(text: str) -> datetime:
    """Return the instant; a day without time means its end, by UTC."""
    now = system_clock()
    if not text:
        return now + timedelta(days=30)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CallerError(
            f"--until {text[:40]!r} is no date.", remedy="Write 2026-12-31 or 2026-12-31T18:00+08:00."
        ) from error
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return moment + timedelta(days=1) if len(text) == len("2026-12-31") else moment


def _authentication(word: str) -> int:
    if word not in AUTHENTICATIONS:
        raise CallerError(
            f"unknown authentication {word[:40]!r}.", remedy=f"Use one of: {', '.join(AUTHENTICATIONS)}."
        )
    return AUTHENTICATIONS[word]


def _id_of(text: str) -> bytes:
    if Path(text).is_file():
        return read_consent(load_consent(Path(text))).consent_id
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise CallerError(
            "this is neither a consent's id nor a file.", remedy="See `credit-gateway consent list`."
        ) from error


def _names(node: Path) -> Names:
    folder = folder_at(node)
    config = load_config(folder.root)
    roster = load_roster(folder.peers, config.node.id)
    names = {peer.node_id: dict(peer.card.names) for peer in roster.peers.values()}
    return names | {config.node.id: dict(config.node.names)}


def _facts(consent: Consent) -> dict[str, Any]:
    return {
        "consent": consent.consent_id.hex(),
        "issuer": consent.issuing_node_id,
        "asker": consent.asking_node_id,
        "organisation": consent.asking_organisation,
        "answerers": [EVERY_NODE] if consent.every_node_may_answer else list(consent.answering_node_ids),
        "purpose": purpose_word(consent.purpose),
        "kinds": [kind_word(kind) for kind in consent.kinds],
        "until": consent.end_time.ToDatetime(UTC).isoformat(timespec="seconds"),
    }


def _issued_facts(row: IssuedConsent) -> dict[str, Any]:
    ended = row.end_ms <= unix_ms(system_clock())
    state = "revoked" if row.is_revoked else "ended" if ended else "live"
    facts: dict[str, Any] = {
        "consent": row.consent_id.hex(),
        "state": state,
        "until": from_unix_ms(row.end_ms).isoformat(timespec="seconds"),
    }
    return facts | _facts(read_consent(row.message)) if row.HasField("message") else facts
