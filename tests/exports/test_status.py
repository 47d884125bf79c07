"""Status lists: a bit follows the record behind the credential, and npm's library reads it so."""

from __future__ import annotations

import gzip
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from creditexchange.v1 import record_pb2 as pb
from gateway.exports.issuing import ChangedState, Credentials
from gateway.exports.published_contexts import own_context
from gateway.exports.status import LIST_BITS, encoded_list
from gateway.web.credential_page import CredentialPages
from gateway.web.log_page import LogPage, LogServer
from tests.exports.documents import Office, by_both_suites, npm_verify, office, record
from tests.federation.simulator import SimulatedNode
from tests.ports import free_port

HTTP = urllib3.PoolManager(retries=False)


@dataclass
class Bank:
    """A desk and its store of what it issued, at a time that moves."""

    desk: Office
    node: SimulatedNode

    @property
    def credentials(self) -> Credentials:
        return self.desk.exporting.credentials()

    def change(self, state: int, content: pb.LearningRecord | None, seconds: int = 60) -> int:
        at_ms = round(self.desk.exporting.clock().timestamp() * 1000) + seconds * 1000
        return self.credentials.note_changes([ChangedState("zhejiang", "ZJ1", state, at_ms, content)])

    def bits(self, credential: dict[str, Any]) -> dict[str, bool]:
        found = {}
        for entry in credential["credentialStatus"]:
            purpose, index = entry["statusPurpose"], int(entry["statusListIndex"])
            listed = self.credentials.status_list(purpose, 1)
            assert listed is not None
            assert listed["id"] == entry["statusListCredential"]
            found[purpose] = bool(unpacked(listed)[index // 8] & 0x80 >> index % 8)
        return found


def unpacked(listed: dict[str, Any]) -> bytes:
    text = listed["credentialSubject"]["encodedList"]
    assert text[0] == "u"
    return gzip.decompress(urlsafe_b64decode(text[1:] + "=" * (-len(text[1:]) % 4)))


@pytest.fixture
def bank(node: SimulatedNode, desk: Office) -> Bank:
    return Bank(desk, node)


def in_state(state: int) -> pb.LearningRecord:
    return record(status=pb.RecordStatus(state=state))


@pytest.mark.parametrize(
    ("state", "revoked", "suspended"),
    [
        (pb.RECORD_STATE_REVOKED, True, False),
        (pb.RECORD_STATE_SUPERSEDED, True, False),
        (pb.RECORD_STATE_SUSPENDED, False, True),
        (pb.RECORD_STATE_UNDER_CORRECTION, False, True),
        (pb.RECORD_STATE_EXPIRED, False, False),
    ],
)
def test_a_changed_record_sets_the_bit_of_its_state(
    bank: Bank, state: int, revoked: bool, suspended: bool
) -> None:
    credential, other = bank.desk.credential(), bank.desk.credential(record(2))
    assert bank.bits(credential) == {"revocation": False, "suspension": False}
    assert bank.change(state, in_state(state)) == 1
    assert bank.bits(credential) == {"revocation": revoked, "suspension": suspended}
    assert bank.bits(other) == {"revocation": False, "suspension": False}


def test_a_restored_record_clears_a_suspension_and_a_corrected_one_ends_the_old_credential(
    bank: Bank,
) -> None:
    credential = bank.desk.credential()
    bank.change(pb.RECORD_STATE_SUSPENDED, in_state(pb.RECORD_STATE_SUSPENDED), 60)
    bank.change(pb.RECORD_STATE_VALID, record(), 120)
    assert bank.bits(credential) == {"revocation": False, "suspension": False}
    corrected = record()
    corrected.grade.as_issued = "91"
    bank.change(pb.RECORD_STATE_VALID, corrected, 180)
    assert bank.bits(credential) == {"revocation": True, "suspension": False}
    assert bank.change(pb.RECORD_STATE_VALID, record(), 240) == 0, "what was revoked stays revoked"
    assert bank.bits(bank.desk.credential(corrected)) == {"revocation": False, "suspension": False}


def test_of_a_peers_record_valid_means_restored_after_a_suspension_and_corrected_otherwise(
    bank: Bank,
) -> None:
    credential = bank.desk.credential()
    bank.change(pb.RECORD_STATE_SUSPENDED, None, 60)
    bank.change(pb.RECORD_STATE_VALID, None, 120)
    assert bank.bits(credential) == {"revocation": False, "suspension": False}
    bank.change(pb.RECORD_STATE_VALID, None, 180)
    assert bank.bits(credential)["revocation"]


def test_an_old_change_says_nothing_of_a_credential_issued_since(bank: Bank) -> None:
    credential = bank.desk.credential()
    assert bank.change(pb.RECORD_STATE_REVOKED, in_state(pb.RECORD_STATE_REVOKED), -5) == 0
    assert not bank.bits(credential)["revocation"]


def test_npms_library_reads_the_lists(node: SimulatedNode, desk_today: Office, tmp_path: Path) -> None:
    bank = Bank(desk_today, node)
    credential, other = bank.desk.credential(), bank.desk.credential(record(2))

    def verdicts() -> list[tuple[bool, dict[str, bool]]]:
        lists = [bank.credentials.status_list(purpose, 1) for purpose in ("revocation", "suspension")]
        documents = [bank.desk.issuer.did_document(), *(each for each in lists if each)]
        jobs = [
            *by_both_suites("one", credential, status=True),
            *by_both_suites("other", other, status=True),
        ]
        now = desk_today.exporting.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        return [(each["verified"], each["status"]) for each in npm_verify(jobs, documents, tmp_path, now)]

    holds = (True, {"revocation": False, "suspension": False})
    revoked = (True, {"revocation": True, "suspension": False})
    assert verdicts() == [holds] * 4
    bank.change(pb.RECORD_STATE_REVOKED, in_state(pb.RECORD_STATE_REVOKED))
    assert verdicts() == [revoked, revoked, holds, holds]


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, LIST_BITS - 1), max_size=50))
def test_the_places_of_a_list_are_its_bits_and_no_others(places: set[int]) -> None:
    bits = unpacked({"credentialSubject": {"encodedList": encoded_list(sorted(places))}})
    assert len(bits) * 8 == LIST_BITS
    assert {i for i in range(LIST_BITS) if bits[i // 8]} == {
        i for p in places for i in range(p // 8 * 8, p // 8 * 8 + 8)
    }
    assert all(bits[p // 8] & 0x80 >> p % 8 for p in places)
    assert sum(byte.bit_count() for byte in bits) == len(places)


@pytest.fixture
def page(bank: Bank) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    pages = CredentialPages(bank.desk.exporting.credentials)
    server = LogServer(LogPage(bank.node.log, bank.node.witness, dict, pages), address)
    server.start()
    yield f"http://{address}"
    server.stop()


def test_the_open_page_serves_what_verifiers_look_up(page: str, bank: Bank) -> None:
    credential = bank.desk.credential()
    did = HTTP.request("GET", f"{page}/.well-known/did.json")
    assert did.headers["content-type"] == "application/did+json"
    assert did.json()["id"] == credential["issuer"]["id"] == "did:web:credentials.zhejiang.example"
    assert did.json()["assertionMethod"] == [credential["proof"][0]["verificationMethod"]]
    address = credential["@context"][-1].removeprefix("https://credentials.zhejiang.example")
    assert HTTP.request("GET", page + address).data == own_context()
    for entry in credential["credentialStatus"]:
        path = entry["statusListCredential"].removeprefix("https://credentials.zhejiang.example")
        listed = HTTP.request("GET", page + path)
        assert listed.headers["content-type"] == "application/vc"
        assert listed.json()["id"] == entry["statusListCredential"]


@pytest.mark.parametrize(
    "path",
    [
        "/credentials/status/revocation/2",
        "/credentials/status/revocation/0",
        "/credentials/status/other/1",
        "/credentials",
    ],
)
def test_there_is_no_other_list(page: str, path: str) -> None:
    assert HTTP.request("GET", page + path).status == 404


def test_without_domain_nothing_can_be_looked_up(node: SimulatedNode) -> None:
    pages = CredentialPages(office(node, domain="").exporting.credentials)
    assert pages.find("/.well-known/did.json") is None
    assert pages.find("/credentials/status/revocation/1") is None
