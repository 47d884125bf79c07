"""Redeem a learner's code at the node that issued it: one exchange, however often it has to be sent.

What was begun is remembered until an answer or a refusal came, so that a lost answer, or a node that
died meanwhile, locks nobody out: the next try sends the same exchange again and gets the same consent.
"""

from __future__ import annotations

import hmac
import random
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from creditexchange.v1.code_pb2 import (
    CodeRedemption,
    CodeRedemptionAnswer,
    CodeRedemptionAnswerBody,
    CodeRedemptionBody,
    CodeSecret,
    RedeemCodeRequest,
    RedeemCodeResponse,
)
from creditexchange.v1.consent_pb2 import Consent
from creditexchange.v1.envelope_pb2 import Opening, SignedMessage
from gateway.audit import Evidence, management_entry
from gateway.audit.commitment import CONSENT, LEARNING_CODE, SUBJECT_TOKEN, commitment, open_items
from gateway.clock import monotonic_s, new_exchange_id, new_id, unix_ms
from gateway.errors import CallerError, EnvelopeError, PeerFaultError, RefusedError
from gateway.exchange.answering.redemptions import redemption_digest
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.compose import query_header
from gateway.exchange.asking.retrying import pause_before_retry
from gateway.exchange.asking.verify import require_bound_header
from gateway.exchange.consent_keys import consent_keys
from gateway.exchange.consents import is_revoked
from gateway.exchange.learning_codes import Redemption, redeem_code
from gateway.exchange.messages import (
    CODE_REDEMPTION_ANSWER_TYPE,
    CODE_REDEMPTION_TYPE,
    REDEEM_CODE,
    Snapshot,
)
from gateway.peers.caller import RefusedByPeerError
from gateway.peers.roster import Peer
from gateway.policy.consent import ConsentUse, parse_consent, read_consent, verify_consent
from gateway.policy.learning_code import LearningCode
from gateway.policy.purposes import purpose_word
from gateway.signing.envelope import open_envelope, parse, seal, signed_digest
from gateway.storage import code_rows
from gateway.storage.code_rows import AttemptRow

ATTEMPTS_MAX = 3
_UNDECIDED = frozenset({"RATE_EXCEEDED", "OVERLOADED", "AUDIT_UNAVAILABLE", "SHUTTING_DOWN", "INTERNAL"})
"""Refusals after which the same exchange may still succeed."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    row: AttemptRow
    body: bytes
    opening: Opening


def redeem(code: LearningCode, organisation: str, snapshot: Snapshot, node: Asking) -> SignedMessage:
    """Return the learner's consent that this node may ask, for ``organisation``.

    Raises:
        CallerError: no node of that name is known.
        PeerFaultError: the issuing node refused (``CODE_INVALID`` …), or cannot be reached.
        RefusedError: ``AUDIT_UNAVAILABLE``; the code can be redeemed again. This node's own codes: as
            :func:`gateway.exchange.learning_codes.redeem_code`.
    """
    if code.issuer == snapshot.node_id:
        return _redeem_own(code, organisation, snapshot, node)
    peer = snapshot.roster.peers.get(code.issuer)
    if peer is None:
        raise CallerError(
            f"the code was issued by {code.issuer[:32]!r}, which this node does not know.",
            remedy=f"Known peers: {', '.join(snapshot.roster.peers) or 'none'}.",
        )
    attempt = _begin(code, organisation, node)
    try:
        opening = _ask(attempt, peer, snapshot, node)
    except RefusedByPeerError as refused:
        if refused.outcome not in _UNDECIDED:
            node.log.transact(lambda t: code_rows.end_attempt(t, attempt.row.code_hash))
        raise
    message = parse_consent(opening.item)
    consent = read_consent(message)
    tokens = [consent.subject_token]
    node.log.append(
        management_entry(
            "code-redemption",
            reason=purpose_word(consent.purpose),
            count=len(consent.kinds),
            peer=peer.node_id,
            exchange_id=attempt.row.exchange_id,
        ),
        evidence=Evidence(
            request_message=b"",
            request_openings=[*open_items(SUBJECT_TOKEN, tokens), opening],
            subject_tokens=tokens,
        ),
        beside=lambda t: code_rows.end_attempt(t, attempt.row.code_hash),
    )
    return message


def _redeem_own(code: LearningCode, organisation: str, snapshot: Snapshot, node: Asking) -> SignedMessage:
    wanted = Redemption(
        code_id=code.code_id,
        secret=code.secret,
        redeemer=snapshot.node_id,
        organisation=organisation,
        digest=redemption_digest(new_id(), organisation.encode()),
        seen=None,
    )
    return parse_consent(redeem_code(wanted, snapshot, node.log, node.clock()).item)


def _begin(code: LearningCode, organisation: str, node: Asking) -> _Attempt:
    """Remember that the code is being redeemed; return what was remembered if it was before."""
    item = CodeSecret(code_id=code.code_id, secret=code.secret).SerializeToString()
    now = node.clock()
    row = AttemptRow(
        code_hash=sha256(f"{code.text}\n{organisation}".encode()).digest(),
        exchange_id=new_exchange_id(now),
        opening_key=secrets.token_bytes(32),
        begun_at=unix_ms(now),
    )
    row = node.log.transact(lambda transaction: code_rows.begin_attempt(transaction, row))
    opening = Opening(item_type=LEARNING_CODE, key=row.opening_key, item=item)
    body = CodeRedemptionBody(code_commitment=commitment(opening), organisation=organisation)
    return _Attempt(row, body.SerializeToString(), opening)


def _ask(attempt: _Attempt, peer: Peer, snapshot: Snapshot, node: Asking) -> Opening:
    """Send the exchange until an answer or a refusal that stands comes; return the consent's opening."""
    end_s = monotonic_s() + snapshot.settings.deadline_s
    for number in _numbers():
        try:
            return _ask_once(attempt, peer, snapshot, node, end_s - monotonic_s())
        except PeerFaultError as fault:
            chance = random.random()  # noqa: S311 - nothing secret
            left_s = end_s - monotonic_s()
            pause_s = pause_before_retry(fault, number, left_s, chance, has_other_endpoint=False)
            if pause_s is None or number >= ATTEMPTS_MAX:
                raise
            threading.Event().wait(pause_s)
    raise AssertionError("unreachable")


def _numbers() -> Iterator[int]:
    return iter(range(1, ATTEMPTS_MAX + 1))


def _ask_once(attempt: _Attempt, peer: Peer, snapshot: Snapshot, node: Asking, left_s: float) -> Opening:
    header = query_header(
        peer, REDEEM_CODE, 1, snapshot, checkpoint=node.log.latest_checkpoint(), now=node.clock()
    )
    header.exchange_id = attempt.row.exchange_id
    payload = CodeRedemption(header=header, body=attempt.body).SerializeToString()
    message = seal(payload, CODE_REDEMPTION_TYPE, snapshot.message_keys)
    request = RedeemCodeRequest(message=message, openings=[attempt.opening]).SerializeToString()
    response = node.caller.call(peer, REDEEM_CODE, request, max(0.0, left_s))
    now = node.clock()
    try:
        envelope = parse(RedeemCodeResponse, response, "response")
        opened = open_envelope(
            envelope.message, CODE_REDEMPTION_ANSWER_TYPE, lambda key_id: peer.message_key(key_id, now)
        )
        answer = parse(CodeRedemptionAnswer, opened.payload, "answer")
        body = parse(CodeRedemptionAnswerBody, answer.body, "answer body")
    except EnvelopeError as error:
        raise PeerFaultError("ANSWER_NOT_SIGNED", error.message) from error
    require_bound_header(answer.header, header, signed_digest(message), snapshot.settings.skew_s, now)
    return _consent_in(list(envelope.openings), body, peer, snapshot, node)


def _consent_in(
    openings: list[Opening], body: CodeRedemptionAnswerBody, peer: Peer, snapshot: Snapshot, node: Asking
) -> Opening:
    """Return the consent's opening if it is the one that was signed for, and good for this node."""
    try:
        is_committed = (
            len(openings) == 1
            and openings[0].item_type == CONSENT
            and hmac.compare_digest(commitment(openings[0]), body.consent_commitment)
        )
    except EnvelopeError as error:
        raise PeerFaultError("ANSWER_INCOMPLETE", error.message) from error
    if not is_committed:
        raise PeerFaultError("ANSWER_INCOMPLETE", "the consent is not the one that the peer signed for.")
    try:
        message = parse_consent(openings[0].item)
        consent = read_consent(message)
        now = node.clock()
        verify_consent(
            message,
            _whole_use(consent, peer, snapshot),
            find_key=consent_keys(snapshot, now),
            issuers={peer.node_id},
            is_revoked=partial(is_revoked, node.log),
            now=now,
            skew_s=snapshot.settings.skew_s,
        )
    except RefusedError as refused:
        if refused.reason != "CONSENT_INVALID":
            raise
        raise PeerFaultError(
            "ANSWER_INCOMPLETE", f"the consent that came is not good: {refused.message}"
        ) from refused
    return openings[0]


def _whole_use(consent: Consent, peer: Peer, snapshot: Snapshot) -> ConsentUse:
    """Return all that the consent allows this node: signature, times and asker are what is checked."""
    answerer = next(iter(consent.answering_node_ids), peer.node_id)
    return ConsentUse(
        snapshot.node_id,
        answerer,
        consent.subject_token,
        consent.federation_epoch,
        consent.purpose,
        list(consent.kinds),
    )
