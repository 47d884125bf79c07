"""Section 9, LearningCodeService: codes that are good once, and every way in which they are not."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from creditexchange.v1.code_pb2 import (
    CodeRedemptionAnswer,
    CodeRedemptionAnswerBody,
    CodeRedemptionBody,
    CodeSecret,
    RedeemCodeResponse,
)
from creditexchange.v1.consent_pb2 import Consent
from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.conformance import answer_checks as checks
from gateway.conformance.answer_checks import payload_of, response_of
from gateway.conformance.case import Case
from gateway.conformance.draft import REDEEM_CODE, UNKNOWN_FIELD, Draft
from gateway.conformance.expectation import (
    DepartureError,
    Expectation,
    Reply,
    answered,
    refused,
    require_answer,
    require_refusal,
)
from gateway.conformance.session import Session, opening
from gateway.conformance.wire import commitment
from gateway.policy.learning_code import LearningCode, parse_code

SECTION = "9 LearningCodeService"
ORGANISATION = "Conformance"


def a_code(session: Session) -> str:
    """Need: a good code of the node under test."""
    return "" if session.codes else "needs a --code for each such case: `credit-gateway code issue`"


def an_expired_code(session: Session) -> str:
    """Need: a code that was good once."""
    return "" if session.expired_code else "needs an --expired-code"


def a_used_up_purpose(session: Session) -> str:
    """Need: a granted purpose whose quota is used up."""
    is_granted = any(grant.purpose == session.used_up_purpose and grant.kinds for grant in session.grants)
    return "" if is_granted else "needs a --used-up-purpose: a quota of 0 for a granted purpose"


def _invented(session: Session) -> LearningCode:
    return LearningCode(session.card.node_id, secrets.token_bytes(5), secrets.token_bytes(10))


def _draft(session: Session, code: LearningCode) -> Draft:
    draft = session.draft(REDEEM_CODE)
    secret = CodeSecret(code_id=code.code_id, secret=code.secret).SerializeToString()
    draft.openings = [opening("learning-code", secret)]
    draft.body = CodeRedemptionBody(code_commitment=commitment(draft.openings[0]), organisation=ORGANISATION)
    return draft


def _case(
    id_: str, sent: str, must: Expectation, change: Callable[[Draft], None] = lambda _draft: None
) -> Case:
    """Return a case that presents an invented code, wrong in whatever ``change`` makes wrong."""

    def run(session: Session) -> Sequence[Reply]:
        draft = _draft(session, _invented(session))
        change(draft)
        return [session.send(draft)]

    return Case(id_, SECTION, sent, must, run)


def _redeemed(session: Session) -> Sequence[Reply]:
    return [session.send(_draft(session, parse_code(session.codes.pop())))]


def _retried(session: Session) -> Sequence[Reply]:
    draft = _draft(session, parse_code(session.codes.pop()))
    return [session.send(draft), session.send(draft.retry(1))]


def _used(session: Session) -> Sequence[Reply]:
    code = parse_code(session.codes.pop())
    return [session.send(_draft(session, code)), session.send(_draft(session, code))]


def _altered(session: Session) -> Sequence[Reply]:
    code = parse_code(session.codes[-1])
    secret = bytes([code.secret[0] ^ 1]) + code.secret[1:]
    return [session.send(_draft(session, replace(code, secret=secret)))]


def _expired(session: Session) -> Sequence[Reply]:
    return [session.send(_draft(session, parse_code(session.expired_code)))]


def _replayed(session: Session) -> Sequence[Reply]:
    first = session.send(_draft(session, _invented(session)))
    return [first, session.resend(first)]


def _over_quota(session: Session) -> Sequence[Reply]:
    draft = session.query()
    draft.body.purpose = session.used_up_purpose  # type: ignore[union-attr]
    return [session.send(draft)]


def _is_consent(reply: Reply) -> None:
    """The consent was committed to, is by this node and names the identity as the only asker."""
    body = CodeRedemptionAnswerBody.FromString(payload_of(reply, CodeRedemptionAnswer).body)
    openings = response_of(reply, RedeemCodeResponse).openings
    if [each.item_type for each in openings] != ["consent"]:
        raise DepartureError("there is not one opening of a consent")
    if commitment(openings[0]) != body.consent_commitment:
        raise DepartureError("the consent is not the one that was committed to")
    consent = Consent.FromString(SignedMessage.FromString(openings[0].item).payload)
    if consent.issuing_node_id != reply.card.node_id:
        raise DepartureError("the consent names another issuer")
    if reply.sent is None or consent.asking_node_id != reply.sent.header.sender:
        raise DepartureError("the consent allows another node to ask")


def _same_consent(replies: Sequence[Reply]) -> None:
    for reply in replies:
        require_answer(reply)
    first, second = (response_of(reply, RedeemCodeResponse).openings for reply in replies)
    if list(first) != list(second):
        raise DepartureError("the retry got another consent")


def _unknown_then_replayed(replies: Sequence[Reply]) -> None:
    require_refusal(replies[0], "CODE_INVALID")
    require_refusal(replies[1], "REPLAYED_MESSAGE")


def _states(rule: str) -> Callable[[Reply], None]:
    def check(reply: Reply) -> None:
        stated = reply.raw.metadata.get("rule", "")
        if stated != rule:
            raise DepartureError(f"the rule is {stated[:40]!r}, not {rule!r}")

    return check


def _comes_back(reply: Reply) -> None:
    if reply.raw.retry_after_s is None:
        raise DepartureError("RetryInfo is missing")


def _invalid(rule: str) -> Expectation:
    return refused("CODE_INVALID", metadata=["rule"], checks=[_states(rule)])


def _other_audience(draft: Draft) -> None:
    draft.header.audience = "somebody-else"


def _other_key(draft: Draft) -> None:
    draft.openings[0].key = secrets.token_bytes(32)


def _short_secret(draft: Draft) -> None:
    draft.openings = [opening("learning-code", CodeSecret(code_id=b"12345", secret=b"9").SerializeToString())]
    draft.body = CodeRedemptionBody(code_commitment=commitment(draft.openings[0]), organisation=ORGANISATION)


CASES = (
    _case("code-unknown", "RedeemCode with an invented code", _invalid("unknown")),
    _case(
        "code-uncommitted",
        "RedeemCode with an opening under another key",
        refused("COMMITMENT_MISMATCH"),
        _other_key,
    ),
    _case("code-short", "RedeemCode with a secret of one byte", refused("MALFORMED_MESSAGE"), _short_secret),
    _case(
        "code-field-in-body",
        "RedeemCode with an unknown field in its body",
        refused("MALFORMED_MESSAGE"),
        lambda draft: setattr(draft, "after_body", UNKNOWN_FIELD),
    ),
    _case(
        "code-audience",
        "RedeemCode for another node",
        refused("WRONG_AUDIENCE", metadata=["audience"]),
        _other_audience,
    ),
    Case(
        "code-replay",
        SECTION,
        "the same RedeemCode twice",
        Expectation("CODE_INVALID, then REPLAYED_MESSAGE", _unknown_then_replayed),
        _replayed,
    ),
    Case(
        "code-altered",
        SECTION,
        "RedeemCode with one bit of a good code's secret changed",
        _invalid("unknown"),
        _altered,
        (a_code,),
    ),
    Case(
        "code-redeemed",
        SECTION,
        "RedeemCode with a good code",
        answered(checks.is_signed, checks.is_bound, _is_consent, text="a signed, bound, committed consent"),
        _redeemed,
        (a_code,),
    ),
    Case(
        "code-retried",
        SECTION,
        "RedeemCode with a good code, then a retry",
        Expectation("the same consent twice", _same_consent),
        _retried,
        (a_code,),
    ),
    Case(
        "code-used",
        SECTION,
        "RedeemCode with a good code, then another exchange with it",
        _invalid("used"),
        _used,
        (a_code,),
    ),
    Case(
        "code-expired",
        SECTION,
        "RedeemCode with a code that has expired",
        _invalid("expired"),
        _expired,
        (an_expired_code,),
    ),
    Case(
        "quota-exceeded",
        "6 Refusals",
        "a query for a purpose whose quota is used up",
        refused(
            "QUOTA_EXCEEDED",
            metadata=["learnersPerDayMax", "learnersLeft", "resetTime"],
            checks=[_comes_back],
        ),
        _over_quota,
        (a_used_up_purpose,),
    ),
)
