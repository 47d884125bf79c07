"""Evidence bundles: offline, complete, and no byte of them without meaning."""

import json
import secrets
from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.audit.evidence import EvidenceError
from gateway.errors import CallerError, PeerFaultError
from gateway.exchange.collect_evidence import Collector
from gateway.exchange.evidence_bundle import BundleError, EvidenceBundle, parse_bundle, verify_bundle
from gateway.signing import dsse
from gateway.signing.dsse import pre_authentication_encoding
from gateway.storage.witness_rows import put_card
from tests.federation.simulator import LEARNER, Federation, SimulatedNode, make_federation

NODES = ("anhui", "shanghai", "zhejiang")


@pytest.fixture
def federation(tmp_path) -> Federation:
    made = make_federation(tmp_path, *NODES)
    made["shanghai"].put(LEARNER, "Algebra", "Statistics", "Mechanics")
    made["zhejiang"].ask("shanghai")
    made["zhejiang"].ask("shanghai", purpose=3)  # refused
    made["zhejiang"].wire.faults["anhui"] = PeerFaultError("NO_ANSWER", "no answer")
    made["zhejiang"].ask("anhui")
    made["zhejiang"].wire.faults.clear()
    for name in NODES:
        node = made[name]
        node.witnessing.round()
        for other in made.nodes.values():
            card = other.province.card()
            text = dsse.to_json(card.message)
            node.log.transact(
                lambda transaction, card=card, text=text: put_card(
                    transaction, bytes.fromhex(card.fingerprint), card.node_id, card.serial, text
                )
            )
    return made


def collect(node: SimulatedNode, outcome: str, record: int | None = None) -> EvidenceBundle:
    with node.log.reading() as connection:
        collector = Collector(connection, node.log.vault, NODES)
        (row,) = [row for row in _rows(connection) if f'"outcome":"{outcome}"'.encode() in row.leaf]
        return collector.bundle(collector.find(row.exchange_id), record)


def _rows(connection):
    from gateway.storage import audit_rows

    return audit_rows.read_entries_before(connection, 10**6, 100)


def reread(bundle: EvidenceBundle) -> EvidenceBundle:
    return parse_bundle(bundle.render())


def test_the_askers_bundle_proves_both_sides(federation: Federation) -> None:
    report = verify_bundle(reread(collect(federation["zhejiang"], "OK")))
    assert (report.entry.asker, report.entry.answerer, report.entry.count) == ("zhejiang", "shanghai", 3)
    assert report.log_origin == "audit.zhejiang.example/2026"
    assert report.peer_log is not None
    assert (report.peer_log.origin, report.peer_log.index) == ("audit.shanghai.example/2026", 0)
    assert set(report.cosigned_by) == {"audit.anhui.example/witness", "audit.shanghai.example/witness"}
    assert report.record is None


def test_the_answerers_bundle_proves_who_asked(federation: Federation) -> None:
    report = verify_bundle(reread(collect(federation["shanghai"], "OK")))
    assert report.entry.role == "answerer"
    assert report.log_origin == "audit.shanghai.example/2026"
    assert report.peer_log is None


@pytest.mark.parametrize("side", ["zhejiang", "shanghai"])
def test_a_refusal_is_evidence_too(federation: Federation, side: str) -> None:
    report = verify_bundle(reread(collect(federation[side], "PURPOSE_NOT_GRANTED")))
    assert (report.entry.outcome, report.entry.count) == ("PURPOSE_NOT_GRANTED", 0)


def test_so_is_an_answer_that_never_came(federation: Federation) -> None:
    report = verify_bundle(reread(collect(federation["zhejiang"], "NO_ANSWER")))
    assert report.entry.kind == "no-answer"


@pytest.mark.parametrize("side", ["zhejiang", "shanghai"])
@pytest.mark.parametrize("record", [0, 1, 2])
def test_one_record_can_be_disclosed_without_the_others(
    federation: Federation, side: str, record: int
) -> None:
    bundle = collect(federation[side], "OK", record)
    report = verify_bundle(reread(bundle))
    titles = ["Algebra", "Statistics", "Mechanics"]
    assert report.record is not None
    assert report.record.record_id == titles[record]
    content = bundle.render()
    for at, title in enumerate(titles):
        shown = b64encode(title.encode())[:8] in content or title.encode() in bundle.disclosed.record
        assert shown == (at == record)


def test_nothing_personal_is_in_a_bundle(federation: Federation) -> None:
    from gateway.learners.subject_token import subject_token
    from tests.federation.simulator import SECRET

    token = subject_token(SECRET, "resident-id", LEARNER)
    for side in ("zhejiang", "shanghai"):
        bundle = collect(federation[side], "OK")
        parts = [
            bundle.render(),
            bundle.request.payload,
            bundle.answer_body,
            *(c.payload for c in bundle.cards),
        ]
        parts += [bundle.answer.payload] if bundle.answer is not None else []
        for part in parts:
            assert token not in part
            assert LEARNER.encode() not in part
            assert b"Algebra" not in part


def test_every_byte_of_a_bundle_counts(federation: Federation) -> None:
    content = collect(federation["zhejiang"], "OK", 1).render()
    verify_bundle(parse_bundle(content))
    for at in range(secrets.randbelow(3), len(content), 3):  # a third of them each time
        altered = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(BundleError):
            verify_bundle(parse_bundle(altered))


def other_answer(bundle: EvidenceBundle, federation: Federation) -> EvidenceBundle:
    federation["zhejiang"].put(LEARNER, "Painting")
    federation["shanghai"].ask("zhejiang")
    with federation["shanghai"].log.reading() as connection:
        row = next(row for row in _rows(connection) if b'"role":"asker"' in row.leaf)
        other = Collector(connection, federation["shanghai"].log.vault, NODES).bundle(row)
    return replace(bundle, answer=other.answer)


def without_answer(bundle: EvidenceBundle, _federation: Federation) -> EvidenceBundle:
    return replace(bundle, answer=None)


def without_a_card(bundle: EvidenceBundle, _federation: Federation) -> EvidenceBundle:
    return replace(bundle, cards=bundle.cards[:-1])


def without_cosignatures(bundle: EvidenceBundle, _federation: Federation) -> EvidenceBundle:
    return replace(bundle, witnesses=("w+00000000+AAAA",))


def forged_card(bundle: EvidenceBundle, federation: Federation) -> EvidenceBundle:
    """A card that an attacker made for Zhejiang, with keys of its own."""
    from tests.federation.provinces import Province

    forged = Province("zhejiang").card().message
    return replace(bundle, cards=(*bundle.cards[:-1], forged))


def second_signature(bundle: EvidenceBundle, federation: Federation) -> EvidenceBundle:
    request = SignedMessage()
    request.CopyFrom(bundle.request)
    signed = pre_authentication_encoding(request.payload_type, request.payload)
    key = federation["anhui"].province.message_key
    request.signatures.add(key_id=key.key_id, signature=key.sign(signed))
    return replace(bundle, request=request)


def extra_line(bundle: EvidenceBundle, _federation: Federation) -> EvidenceBundle:
    return replace(bundle, proof=bundle.proof.replace("\nindex", "\nextra aGludA==\nindex"))


@pytest.mark.parametrize(
    "change",
    [
        other_answer,
        without_answer,
        without_a_card,
        without_cosignatures,
        forged_card,
        second_signature,
        extra_line,
    ],
)
def test_a_bundle_put_together_of_other_parts_is_refused(
    federation: Federation, change: Callable[[EvidenceBundle, Federation], EvidenceBundle]
) -> None:
    bundle = collect(federation["zhejiang"], "OK")
    with pytest.raises(BundleError):
        verify_bundle(parse_bundle(change(bundle, federation).render()))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b'{"format":"credit-exchange/evidence/v2"}\n', b"\xff", b"[" * 100_000],
)
def test_what_is_no_bundle_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        parse_bundle(content)


def test_an_erased_exchange_is_exported_and_not_disclosed(federation: Federation) -> None:
    from gateway.audit.erasure import erase_learner
    from gateway.learners.subject_token import subject_token
    from tests.federation.simulator import SECRET

    zhejiang = federation["zhejiang"]
    before = collect(zhejiang, "OK")
    token = subject_token(SECRET, "resident-id", LEARNER)
    assert erase_learner(zhejiang.log, zhejiang.clock, [token], "learner-request").parts == 3
    after = collect(zhejiang, "OK")
    assert (after.leaf, after.request, after.answer) == (before.leaf, before.request, before.answer)
    verify_bundle(reread(after))
    with pytest.raises(EvidenceError, match="erased"):
        collect(zhejiang, "OK", 0)


def test_an_unknown_exchange_is_the_callers_fault(federation: Federation) -> None:
    with federation["zhejiang"].log.reading() as connection, pytest.raises(CallerError, match="no such"):
        Collector(connection, federation["zhejiang"].log.vault, NODES).find(bytes(16))


def test_its_envelopes_verify_with_securesystemslib(federation: Federation) -> None:
    """An implementation of DSSE that nobody here wrote."""
    bundle = json.loads(collect(federation["zhejiang"], "OK").render())
    for part, signer in (("request", "zhejiang"), ("answer", "shanghai")):
        envelope = Envelope.from_dict(deepcopy(bundle[part]))
        province = federation[signer].province
        public = province.message_key.verifying
        raw = public.spki[-32:].hex()
        key = SSlibKey(public.key_id, "ed25519", "ed25519", {"public": raw})
        assert list(envelope.verify([key], 1)) == [public.key_id]
        tampered = Envelope.from_dict(deepcopy(bundle[part]) | {"payload": b64encode(b"other").decode()})
        with pytest.raises(Exception, match="threshold"):
            tampered.verify([key], 1)
