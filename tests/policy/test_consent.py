"""For each rule of a consent a use or a consent that breaks only it."""

from collections.abc import Callable
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1.consent_pb2 import LEARNER_AUTHENTICATION_IN_PERSON, Consent
from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.errors import RefusedError
from gateway.policy.consent import (
    CONSENT_BYTES_MAX,
    CONSENT_DAYS_MAX,
    CONSENT_TYPE,
    ConsentUse,
    Rule,
    VerifiedConsent,
    parse_consent,
    verify_consent,
)
from gateway.policy.purposes import KINDS, PURPOSES
from gateway.signing.envelope import payload_type, seal
from gateway.signing.suites import SigningKey
from tests.federation.provinces import NOW

ZHEJIANG, SHANGHAI, ANHUI = (SigningKey.generate() for _ in range(3))
OWNERS = {ZHEJIANG.key_id: ("zhejiang", ZHEJIANG), SHANGHAI.key_id: ("shanghai", SHANGHAI)}
TOKEN, OTHER_TOKEN = bytes(range(32)), bytes(32)
COURSE, DEGREE, SKILL = KINDS["course"], KINDS["degree"], KINDS["skill-level"]


def consent(**changes: object) -> Consent:
    made = Consent(
        consent_id=bytes(16),
        issuing_node_id="zhejiang",
        subject_token=TOKEN,
        federation_epoch="2026",
        asking_node_id="zhejiang",
        asking_organisation="Zhejiang Employment Service",
        answering_node_ids=["shanghai"],
        purpose=PURPOSES["employment"],
        kinds=[COURSE, SKILL],
        authentication=LEARNER_AUTHENTICATION_IN_PERSON,
    )
    made.start_time.FromDatetime(NOW)
    made.issue_time.FromDatetime(NOW)
    made.end_time.FromDatetime(NOW + timedelta(days=30))
    for name, value in changes.items():
        made.ClearField(name)
        if isinstance(value, list):
            getattr(made, name).extend(value)
        elif name.endswith("_time"):
            if value is not None:
                getattr(made, name).FromDatetime(value)
        else:
            setattr(made, name, value)
    return made


def use(**changes: object) -> ConsentUse:
    facts: dict[str, object] = {
        "asker": "zhejiang",
        "answerer": "shanghai",
        "subject_token": TOKEN,
        "federation_epoch": "2026",
        "purpose": PURPOSES["employment"],
        "kinds": (COURSE,),
    }
    return ConsentUse(**(facts | changes))


def signed(made: Consent, key: SigningKey = ZHEJIANG, type_: str = CONSENT_TYPE) -> SignedMessage:
    return seal(made.SerializeToString(), type_, [key])


def verify(message: SignedMessage, used: ConsentUse | None = None, **how: object) -> VerifiedConsent:
    def find_key(key_id: str):
        found = OWNERS.get(key_id)
        return (found[0], found[1].verifying) if found else None

    facts: dict[str, object] = {
        "find_key": find_key,
        "issuers": {"zhejiang", "shanghai"},
        "is_revoked": lambda _issuer, _id: False,
        "now": NOW + timedelta(days=1),
    }
    return verify_consent(message, used or use(), **(facts | how))


def rule(message: SignedMessage, used: ConsentUse | None = None, **how: object) -> str:
    with pytest.raises(RefusedError) as error:
        verify(message, used, **how)
    assert error.value.reason == "CONSENT_INVALID"
    assert set(error.value.details) == {"rule"}
    return error.value.details["rule"]


def test_a_consent_that_covers_the_use_is_accepted() -> None:
    verified = verify(signed(consent()))
    assert (verified.consent_id, verified.issuer) == (bytes(16), "zhejiang")
    assert verified.ends == NOW + timedelta(days=30)


def forged() -> SignedMessage:
    message = signed(consent())
    message.payload = consent(kinds=[COURSE, SKILL, DEGREE]).SerializeToString()
    return message


def with_unknown_field() -> SignedMessage:
    return seal(consent().SerializeToString() + b"\xa2\x06\x01x", CONSENT_TYPE, [ZHEJIANG])


def both_keys() -> SignedMessage:
    return seal(consent().SerializeToString(), CONSENT_TYPE, [ZHEJIANG, SHANGHAI])


BROKEN: dict[str, tuple[Callable[[], str], str]] = {
    "it has ended": (lambda: rule(signed(consent()), now=NOW + timedelta(days=30)), "expired"),
    "it begins tomorrow": (
        lambda: rule(signed(consent(start_time=NOW + timedelta(days=2)))),
        "not-yet-valid",
    ),
    "it was issued in the future": (
        lambda: rule(signed(consent(issue_time=NOW + timedelta(days=2)))),
        "not-yet-valid",
    ),
    "it was taken back": (
        lambda: rule(signed(consent()), is_revoked=lambda issuer, i: (issuer, i) == ("zhejiang", bytes(16))),
        "revoked",
    ),
    "nobody knows the key": (lambda: rule(signed(consent(), ANHUI)), "unknown-issuer"),
    "another known node signed it": (lambda: rule(signed(consent(), SHANGHAI)), "unknown-issuer"),
    "two nodes signed it": (lambda: rule(both_keys()), "unknown-issuer"),
    "its issuer is not accepted": (lambda: rule(signed(consent()), issuers={"shanghai"}), "unknown-issuer"),
    "kinds were added after it was signed": (lambda: rule(forged()), "signature"),
    "another learner": (lambda: rule(signed(consent()), use(subject_token=OTHER_TOKEN)), "other-learner"),
    "another asker": (lambda: rule(signed(consent()), use(asker="anhui")), "other-asker"),
    "another answerer": (lambda: rule(signed(consent()), use(answerer="anhui")), "other-answerer"),
    "another purpose": (lambda: rule(signed(consent()), use(purpose=PURPOSES["admission"])), "purpose"),
    "another kind": (lambda: rule(signed(consent()), use(kinds=(DEGREE,))), "kind"),
    "one kind more": (lambda: rule(signed(consent()), use(kinds=(COURSE, DEGREE))), "kind"),
    "no kind at all": (lambda: rule(signed(consent()), use(kinds=())), "kind"),
    "another epoch": (lambda: rule(signed(consent()), use(federation_epoch="2027")), "epoch"),
    "an unknown field": (lambda: rule(with_unknown_field()), "malformed"),
    "another payload type": (
        lambda: rule(signed(consent(), type_=payload_type("record-query"))),
        "malformed",
    ),
    "no signature": (lambda: rule(SignedMessage(payload=b"x", payload_type=CONSENT_TYPE)), "malformed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_refuses_by_its_own_name(name: str) -> None:
    check, expected = BROKEN[name]
    assert check() == expected


def test_every_rule_of_the_closed_list_is_broken_here() -> None:
    assert {expected for _, expected in BROKEN.values()} == set(get_args(Rule))


MALFORMED: dict[str, dict[str, object]] = {
    "short id": {"consent_id": b"x"},
    "short token": {"subject_token": b"x"},
    "no issuer": {"issuing_node_id": ""},
    "no asker": {"asking_node_id": ""},
    "no epoch": {"federation_epoch": ""},
    "no organisation": {"asking_organisation": " "},
    "organisation that moves the cursor": {"asking_organisation": "Bank\x1b[2K"},
    "endless organisation": {"asking_organisation": "x" * 201},
    "nobody may answer": {"answering_node_ids": []},
    "somebody and everybody may answer": {"every_node_may_answer": True},
    "an answerer without a name": {"answering_node_ids": [""]},
    "an answerer twice": {"answering_node_ids": ["shanghai", "shanghai"]},
    "too many answerers": {"answering_node_ids": [f"n{i}" for i in range(65)]},
    "no purpose": {"purpose": 0},
    "unknown purpose": {"purpose": 99},
    "no kinds": {"kinds": []},
    "a kind twice": {"kinds": [COURSE, COURSE]},
    "unknown kind": {"kinds": [COURSE, 99]},
    "learner not authenticated": {"authentication": 0},
    "unknown authentication": {"authentication": 99},
    "no start": {"start_time": None},
    "no end": {"end_time": None},
    "no issue time": {"issue_time": None},
    "ends before it begins": {"end_time": NOW - timedelta(seconds=1)},
    "ends when it begins": {"end_time": NOW},
    "too long": {"end_time": NOW + timedelta(days=CONSENT_DAYS_MAX, seconds=1)},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_consent_that_lacks_something_is_malformed(name: str) -> None:
    assert rule(signed(consent(**MALFORMED[name]))) == "malformed"


def test_clocks_may_differ_at_the_beginning_and_not_at_the_end() -> None:
    early, late = NOW - timedelta(seconds=30), NOW + timedelta(days=30)
    assert verify(signed(consent()), now=early, skew_s=30).issuer == "zhejiang"
    assert rule(signed(consent()), now=early, skew_s=29) == "not-yet-valid"
    assert rule(signed(consent()), now=late, skew_s=30) == "expired"


@pytest.mark.parametrize(
    "item",
    [b"\xff", b"x" * (CONSENT_BYTES_MAX + 1), signed(consent()).SerializeToString() + b"\xa2\x06\x01x"],
)
def test_bytes_that_are_no_signed_message_are_malformed(item: bytes) -> None:
    with pytest.raises(RefusedError) as error:
        parse_consent(item)
    assert error.value.details == {"rule": "malformed"}


ALL_KINDS = sorted(KINDS.values())
NODES = ["zhejiang", "shanghai", "anhui", "jiangsu"]
kinds = st.lists(st.sampled_from(ALL_KINDS), min_size=1, unique=True)
nodes = st.lists(st.sampled_from(NODES), min_size=1, unique=True)


@given(granted=kinds, asked=kinds, named=nodes, answerer=st.sampled_from(NODES), everybody=st.booleans())
def test_less_than_was_consented_to_is_covered_and_more_never(
    granted: list[int], asked: list[int], named: list[str], answerer: str, everybody: bool
) -> None:
    made = consent(
        kinds=granted, answering_node_ids=[] if everybody else named, every_node_may_answer=everybody
    )
    covered = set(asked) <= set(granted) and (everybody or answerer in named)
    wanted = use(kinds=tuple(asked), answerer=answerer)
    if covered:
        assert verify(signed(made), wanted).issuer == "zhejiang"
    else:
        assert rule(signed(made), wanted) in {"kind", "other-answerer"}


@given(data=st.data())
def test_no_changed_byte_of_a_consent_is_accepted(data: st.DataObject) -> None:
    message = signed(consent())
    at = data.draw(st.integers(0, len(message.payload) - 1))
    payload = bytearray(message.payload)
    payload[at] ^= data.draw(st.integers(1, 255))
    message.payload = bytes(payload)
    assert rule(message) in {"signature", "malformed"}


@given(seconds=st.integers(-10, CONSENT_DAYS_MAX * 24 * 3600))
def test_it_holds_from_its_start_to_its_end_and_not_longer(seconds: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    inside = NOW <= now < NOW + timedelta(days=30)
    if inside:
        assert verify(signed(consent()), now=now)
    else:
        assert rule(signed(consent()), now=now) in {"expired", "not-yet-valid"}
