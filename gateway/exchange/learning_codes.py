"""Learning codes that this node issues: made, redeemed once, taken back, listed.

The store holds a hash of the secret, times and a state. What the code permits, and whose it is, is an
opening of the audit entry about it (``code-issue``): encrypted, found by learner, erased like every
opening. Whether a code is still good is decided in one transaction, in whichever process: of two
redemptions at the same instant the second finds it taken.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

from creditexchange.v1.code_pb2 import CodeTerms
from creditexchange.v1.envelope_pb2 import Opening
from gateway.audit import AuditLog, Evidence, EvidenceError, SeenMessage, management_entry, parse_leaf
from gateway.audit.commitment import LEARNING_CODE, SUBJECT_TOKEN, open_items
from gateway.clock import from_unix_ms, new_id, unix_ms
from gateway.errors import CallerError, RefusedError, StorageError
from gateway.exchange.consents import ConsentTerms, find_consent_opening, keep_consent, sign_consent
from gateway.exchange.messages import Snapshot
from gateway.policy.consent import ORGANISATION_CHARACTERS_MAX
from gateway.policy.learning_code import LearningCode, new_code
from gateway.policy.purposes import KINDS, PURPOSES, purpose_word
from gateway.signing.envelope import parse
from gateway.storage import audit_rows, code_rows, evidence_rows, message_ids, quota_rows
from gateway.storage.code_rows import Claim, CodeRow
from gateway.storage.node_tables import Transaction

CODE_MINUTES_DEFAULT = 10
CONSENT_MINUTES_DEFAULT = 60
MINUTES_MAX = 24 * 60
WRONG_CODES_PER_MINUTE_MAX = 10
"""Codes that do not exist that one node may present in a minute: guesses."""
REMEMBERED_DAYS = 30
"""How long an ended code is listed, days."""
_HASH_CONTEXT = b"credit-exchange/learning-code/v1\x00"
_MINUTE_MS = 60_000

Rule = Literal["unknown", "expired", "used", "revoked", "other-redeemer", "other-organisation"]
"""Every rule that a redemption can fail; the value of the refusal's detail ``rule``."""
_TEXTS: dict[Rule, str] = {
    "unknown": "there is no such learning code.",
    "expired": "the learning code has expired.",
    "used": "the learning code was redeemed before.",
    "revoked": "the learner has taken the learning code back.",
    "other-redeemer": "the learning code is for another node.",
    "other-organisation": "the learning code is for another organisation.",
}


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A code that was just made; the only time that anybody but the learner has its secret."""

    code: LearningCode
    expires: datetime


@dataclass(frozen=True, slots=True)
class ListedCode:
    """A code without its secret, and what it permits unless that was erased."""

    row: CodeRow
    terms: CodeTerms | None = field(repr=False)

    def state(self, now: datetime) -> str:
        """Return ``live``, ``redeemed``, ``revoked``, ``expired`` or ``erased``."""
        if self.row.redeemed_at:
            return "redeemed"
        if self.row.revoked_at:
            return "revoked"
        if self.row.expires_at <= unix_ms(now):
            return "expired"
        return "live" if self.terms is not None else "erased"


@dataclass(frozen=True, slots=True)
class Redemption:
    """Who wants to redeem which code, for whom."""

    code_id: bytes
    secret: bytes = field(repr=False)
    redeemer: str
    """Node id."""
    organisation: str
    digest: bytes
    """Over exchange id and body: a retry has the same, another redemption another."""
    seen: SeenMessage | None
    """The message that asks, for the replay guard; ``None`` for this node itself."""


def issue_code(
    terms: CodeTerms, minutes: int, snapshot: Snapshot, log: AuditLog, now: datetime
) -> IssuedCode:
    """Make a code for ``terms`` that can be redeemed for ``minutes``; it cannot be shown again.

    Raises:
        CallerError: the terms name an unknown node, purpose or kind, or are out of range.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was issued.
    """
    expires = now + timedelta(minutes=minutes)
    _require_terms(terms, minutes, snapshot)
    kept = CodeTerms()
    kept.CopyFrom(terms)
    kept.expire_time.FromDatetime(expires)
    entry_id, inserted = new_id(), [False]
    code = new_code(snapshot.node_id)
    row = CodeRow(code.code_id, secret_hash(code.secret), entry_id, unix_ms(now), unix_ms(expires))

    def insert(transaction: Transaction) -> None:
        inserted[0] = code_rows.insert_code(transaction, row)

    log.append(
        management_entry(
            "code-issue", reason=purpose_word(kept.purpose), count=len(kept.kinds), exchange_id=entry_id
        ),
        evidence=Evidence(
            request_message=b"",
            request_openings=[
                *open_items(SUBJECT_TOKEN, [kept.subject_token]),
                *open_items(LEARNING_CODE, [kept.SerializeToString()]),
            ],
            subject_tokens=[kept.subject_token],
        ),
        beside=insert,
    )
    if not inserted[0]:  # one in 2**40: its name was taken
        return issue_code(terms, minutes, snapshot, log, now)
    return IssuedCode(code, expires)


def redeem_code(wanted: Redemption, snapshot: Snapshot, log: AuditLog, now: datetime) -> Opening:
    """Return the consent that the code became, as an opening; a retry gets the very same.

    Raises:
        RefusedError: ``CODE_INVALID`` with the rule that failed; ``MALFORMED_MESSAGE`` when no
            organisation is named; ``RATE_EXCEEDED`` after too many wrong codes; ``REPLAYED_MESSAGE``;
            ``AUDIT_UNAVAILABLE``.
    """
    row = _find(log, wanted.code_id)
    is_right = row is not None and hmac.compare_digest(row.secret_hash, secret_hash(wanted.secret))
    terms = _terms_of(log, row) if row is not None and is_right else None
    organisation = _organisation(terms, wanted) if terms is not None else ""
    claim = Claim(wanted.redeemer, wanted.digest, new_id(), unix_ms(now))
    rule, held = log.transact(lambda transaction: _decide(transaction, wanted, terms, claim))
    if rule == "replayed":
        raise RefusedError("REPLAYED_MESSAGE", "this message id was seen before.")
    if rule == "throttled":
        raise RefusedError(
            "RATE_EXCEEDED",
            "too many learning codes that do not exist.",
            details={"wrongCodesPerMinuteMax": str(WRONG_CODES_PER_MINUTE_MAX)},
            retry_after_s=(_MINUTE_MS - claim.now_ms % _MINUTE_MS) / 1000,
        )
    if rule:
        if terms is not None:
            _note_refusal(rule, terms, wanted.redeemer, log)
        raise code_invalid(rule)
    assert terms is not None
    assert held is not None
    return _consent_of(held, terms, organisation, snapshot, log)


def revoke_code(code_id: bytes, log: AuditLog, now: datetime) -> None:
    """Take back a code that was not redeemed yet. Doing it again changes nothing.

    Raises:
        CallerError: there is no such code, or it was redeemed: then its consent can be taken back.
        RefusedError: ``AUDIT_UNAVAILABLE``.
    """
    was_live = log.transact(lambda transaction: code_rows.revoke_code(transaction, code_id, unix_ms(now)))
    row = _find(log, code_id)
    if row is None:
        raise CallerError("this node issued no such code.", remedy="See `credit-gateway code list`.")
    if row.redeemed_at:
        raise CallerError(
            "the code was redeemed before.",
            remedy="Take back the consent that it became: "
            f"`credit-gateway consent revoke {row.consent_id.hex()}`.",
        )
    if was_live:
        entry = management_entry(
            "code-revocation", reason="learner-request", count=1, exchange_id=row.entry_id
        )
        log.append(entry)


def list_codes(log: AuditLog, subject_tokens: list[bytes] | None = None) -> list[ListedCode]:
    """Return the codes that this node issued, the newest first; of one learner, or all.

    Raises:
        StorageError: the database cannot be read.
    """
    with log.reading() as connection:
        rows = code_rows.list_codes(connection)
    listed = [ListedCode(row, _terms_of(log, row)) for row in rows]
    if subject_tokens is None:
        return listed
    return [one for one in listed if one.terms is not None and one.terms.subject_token in subject_tokens]


def forget_codes(log: AuditLog, now: datetime) -> None:
    """Forget codes that ended long ago. Raises ``RefusedError``: ``AUDIT_UNAVAILABLE``."""
    before_ms = unix_ms(now - timedelta(days=REMEMBERED_DAYS))
    log.transact(lambda transaction: code_rows.delete_codes(transaction, before_ms))


def code_invalid(rule: Rule) -> RefusedError:
    """Return the refusal of a code that fails ``rule``."""
    return RefusedError("CODE_INVALID", _TEXTS[rule], details={"rule": rule})


def secret_hash(secret: bytes) -> bytes:
    """Return what the store keeps of a secret: 80 random bits need no slow hash."""
    return sha256(_HASH_CONTEXT + secret).digest()


def _decide(
    transaction: Transaction, wanted: Redemption, terms: CodeTerms | None, claim: Claim
) -> tuple[Rule | Literal["", "replayed", "throttled"], CodeRow | None]:
    """Judge and mark a redemption; return why it fails, or nothing and the code as it is marked now."""
    if wanted.seen is not None:
        ids = [(wanted.seen.message_id, unix_ms(wanted.seen.expires_at))]
        if not message_ids.insert_new_ids(transaction, ids):
            return "replayed", None
    name, start = f"wrong-codes/{wanted.redeemer}", claim.now_ms - claim.now_ms % _MINUTE_MS
    if quota_rows.read_taken(transaction, name, [start]) >= [WRONG_CODES_PER_MINUTE_MAX]:
        return "throttled", None
    rule = _judge(transaction, wanted, terms, claim)
    if rule == "unknown":
        quota_rows.delete_taken(transaction, name, start)
        quota_rows.take(transaction, name, start, 1)
    if rule:
        return rule, None
    return "", code_rows.find_code(transaction, wanted.code_id)


def _judge(
    transaction: Transaction, wanted: Redemption, terms: CodeTerms | None, claim: Claim
) -> Rule | Literal[""]:
    if terms is None:
        return "unknown"
    if terms.redeeming_node_id not in ("", wanted.redeemer):
        return "other-redeemer"
    if wanted.organisation and terms.organisation not in ("", wanted.organisation):
        return "other-organisation"
    if code_rows.claim_code(transaction, wanted.code_id, claim):
        return ""
    row = code_rows.find_code(transaction, wanted.code_id)
    if row is None:
        return "unknown"
    if row.redeemed_at:
        is_retry = (row.redeemed_by, row.redemption) == (wanted.redeemer, wanted.digest)
        return "" if is_retry else "used"
    return "revoked" if row.revoked_at else "expired"


def _consent_of(
    row: CodeRow, terms: CodeTerms, organisation: str, snapshot: Snapshot, log: AuditLog
) -> Opening:
    """Return the consent of a redeemed code; made now unless an earlier message of the exchange did."""
    kept = find_consent_opening(log, row.consent_id)
    if kept is None:
        redeemed = from_unix_ms(row.redeemed_at)
        consent_terms = ConsentTerms(
            subject_token=terms.subject_token,
            federation_epoch=terms.federation_epoch,
            asker=row.redeemed_by,
            organisation=organisation,
            answerers=tuple(terms.answering_node_ids),
            purpose=terms.purpose,
            kinds=tuple(terms.kinds),
            ends=redeemed + timedelta(minutes=terms.consent_minutes),
            authentication=terms.authentication,
        )
        message, consent = sign_consent(consent_terms, row.consent_id, snapshot, redeemed)
        keep_consent(message, consent, log, peer=row.redeemed_by)
        kept = find_consent_opening(log, row.consent_id)
    if kept is None:
        raise code_invalid("unknown")  # the learner was forgotten this very moment
    return kept


def _organisation(terms: CodeTerms, wanted: Redemption) -> str:
    """Return for whom the consent is: whom the learner named, else whom the redeeming node names."""
    organisation = terms.organisation or wanted.organisation
    is_fit = 1 <= len(organisation) <= ORGANISATION_CHARACTERS_MAX and organisation.isprintable()
    if not is_fit or organisation != organisation.strip():
        raise RefusedError(
            "MALFORMED_MESSAGE",
            "the organisation for which the code is redeemed is needed.",
            details={"field": "body.organisation"},
        )
    return organisation


def _note_refusal(rule: Rule, terms: CodeTerms, redeemer: str, log: AuditLog) -> None:
    """Log that somebody presented a code that is not good any more, so that the learner can see it."""
    token = terms.subject_token
    log.append(
        management_entry("code-refusal", reason=rule, count=1, peer=redeemer),
        evidence=Evidence(
            request_message=b"", request_openings=open_items(SUBJECT_TOKEN, [token]), subject_tokens=[token]
        ),
    )


def _find(log: AuditLog, code_id: bytes) -> CodeRow | None:
    try:
        with log.reading() as connection:
            return code_rows.find_code(connection, code_id)
    except StorageError as error:
        raise RefusedError("AUDIT_UNAVAILABLE", "codes cannot be read.", retry_after_s=5.0) from error


def _terms_of(log: AuditLog, row: CodeRow) -> CodeTerms | None:
    """Return what a code permits; ``None`` when its learner was forgotten."""
    try:
        with log.reading() as connection:
            for entry in audit_rows.read_entries_of_exchange(connection, row.entry_id):
                draft = parse_leaf(entry.leaf).draft
                for part in evidence_rows.read_parts(connection, entry.idx):
                    for opening in log.vault.open(draft, part).request:
                        if opening.item_type == LEARNING_CODE:
                            terms = parse(CodeTerms, opening.item, "terms")
                            # The encryption is bound to management entries, not to one: the time tells.
                            is_its_own = unix_ms(terms.expire_time.ToDatetime(UTC)) == row.expires_at
                            return terms if is_its_own else None
    except (StorageError, EvidenceError) as error:
        raise RefusedError("AUDIT_UNAVAILABLE", "codes cannot be read.", retry_after_s=5.0) from error
    return None


def _require_terms(terms: CodeTerms, minutes: int, snapshot: Snapshot) -> None:
    known = {snapshot.node_id, *snapshot.roster.peers}
    for node_id in filter(None, (terms.redeeming_node_id, *terms.answering_node_ids)):
        if node_id not in known:
            raise CallerError(
                f"unknown node {node_id[:32]!r}.", remedy=f"Known nodes: {', '.join(sorted(known))}."
            )
    for value, what in ((minutes, "the code"), (terms.consent_minutes, "the consent")):
        if not 1 <= value <= MINUTES_MAX:
            raise CallerError(f"{what} holds from 1 to {MINUTES_MAX} minutes.")
    if terms.purpose not in PURPOSES.values():
        raise CallerError("purpose: it is needed.", remedy=f"Use one of: {', '.join(PURPOSES)}.")
    if not terms.kinds or len(set(terms.kinds)) < len(terms.kinds) or set(terms.kinds) - set(KINDS.values()):
        raise CallerError("kinds: each is named once, and one at least.", remedy=f"Use: {', '.join(KINDS)}.")
    if terms.authentication == 0:
        raise CallerError("authentication: say how you made sure who the learner is.")
    organisation = terms.organisation
    if organisation and not (
        organisation.isprintable()
        and organisation == organisation.strip()
        and len(organisation) <= ORGANISATION_CHARACTERS_MAX
    ):
        raise CallerError(f"organisation: at most {ORGANISATION_CHARACTERS_MAX} printable characters.")
