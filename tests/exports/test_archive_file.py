"""The learner's own file: closed to everybody else, opened by the passphrase, verified as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exports.archive_file import ArchiveFileError, decrypt, encrypt
from gateway.exports.archive_package import open_package
from gateway.exports.comparing import compare
from gateway.exports.exporting import SAVED
from gateway.exports.verifying import CredentialError
from gateway.signing import dsse
from gateway.storage.witness_rows import put_card
from tests.exports.documents import HOLDER, Office, office, record
from tests.federation.simulator import LEARNER, Federation, make_federation

PASSPHRASE = "four words of mine"


@pytest.fixture(scope="module")
def closed() -> bytes:
    return encrypt(b"what is mine", PASSPHRASE)


def test_it_opens_with_the_passphrase_alone(closed: bytes) -> None:
    assert decrypt(closed, PASSPHRASE) == b"what is mine"
    assert b"mine" not in closed
    with pytest.raises(ArchiveFileError, match="another one, or the file was altered or cut short"):
        decrypt(closed, PASSPHRASE + "!")


@pytest.mark.parametrize("length", [0, 10, 25, 100, -16])
def test_a_file_that_was_cut_short_is_refused(closed: bytes, length: int) -> None:
    with pytest.raises(ArchiveFileError):
        decrypt(closed[:length], PASSPHRASE)


def test_a_file_that_was_altered_anywhere_is_refused(closed: bytes) -> None:
    for at in (len(b"age-encryption.org/v1\n-> scrypt ") + 3, len(closed) - 30):
        with pytest.raises(ArchiveFileError):
            decrypt(closed[:at] + bytes([closed[at] ^ 1]) + closed[at + 1 :], PASSPHRASE)


@pytest.mark.parametrize("factor", [b"21", b"40", b"63", b"64", b"9999"])
def test_a_file_that_asks_for_work_without_end_is_refused_at_once(closed: bytes, factor: bytes) -> None:
    costly = re.sub(rb"(-> scrypt \S+) \d+\n", rb"\1 " + factor + b"\n", closed)
    with pytest.raises(ArchiveFileError, match="key derivation"):
        decrypt(costly, PASSPHRASE)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_any_other_bytes_are_refused_with_a_sentence(content: bytes) -> None:
    for each in (content, b"age-encryption.org/v1\n" + content):
        with pytest.raises(ArchiveFileError):
            decrypt(each, PASSPHRASE)


def test_a_short_passphrase_is_not_taken() -> None:
    with pytest.raises(ArchiveFileError, match="fewer than 8"):
        encrypt(b"x", "1234567")


def test_a_package_says_what_was_exported(desk: Office) -> None:
    opened = open_package(desk.export(SAVED, record(1), record(2)))
    assert opened.archive.holder_name == HOLDER
    assert [each.record["recordId"] for each in opened.archive.credentials] == ["ZJ1", "ZJ2"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "x"}', b"\xff", b"[" * 5000])
def test_what_is_no_package_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ArchiveFileError):
        open_package(content)


def test_a_package_whose_record_was_altered_is_refused(desk: Office) -> None:
    package = json.loads(desk.export(SAVED))
    inner = package["credential"]["credentialSubject"]["verifiableCredential"][0]
    inner["credentialSubject"]["learningRecord"]["grade"]["asIssued"] = "100"
    with pytest.raises(CredentialError):
        open_package(json.dumps(package).encode())


def keep_cards(federation: Federation) -> None:
    """Each node keeps every card, as it does at a start."""
    cards = [node.province.card() for node in federation.nodes.values()]
    for node in federation.nodes.values():
        for card in cards:
            text = dsse.to_json(card.message)
            node.log.transact(
                lambda transaction, card=card, text=text: put_card(
                    transaction, bytes.fromhex(card.fingerprint), card.node_id, card.serial, text
                )
            )


def test_a_peers_record_comes_with_the_peers_own_signature(tmp_path: Path) -> None:
    federation = make_federation(tmp_path, "zhejiang", "shanghai")
    federation["shanghai"].put(LEARNER, "Algebra", "Statistics")
    zhejiang = federation["zhejiang"]
    desk = office(zhejiang)
    keep_cards(federation)
    exporting = type(desk.exporting)(
        zhejiang.log, zhejiang.clock, lambda: desk.issuer, lambda: desk.signer, lambda: list(federation.nodes)
    )
    package = json.loads(exporting.export(zhejiang.ask("shanghai"), SAVED).content)
    opened = open_package(json.dumps(package).encode())
    assert {name: each.node_id for name, each in opened.evidence.items()} == {
        "shanghai/Algebra": "shanghai",
        "shanghai/Statistics": "shanghai",
    }
    algebra, statistics = package["evidence"].values()
    swapped = package | {"evidence": {"shanghai/Algebra": statistics, "shanghai/Statistics": algebra}}
    with pytest.raises(CredentialError, match="another record"):
        open_package(json.dumps(swapped).encode())
    forged = json.loads(json.dumps(package))
    forged["evidence"]["shanghai/Algebra"]["answer"]["payload"] = "AAAA"
    with pytest.raises(CredentialError, match="does not verify"):
        open_package(json.dumps(forged).encode())


def test_a_later_archive_shows_what_changed(desk: Office) -> None:
    before = open_package(desk.export(SAVED, record(1), record(2))).archive
    corrected = record(2)
    corrected.grade.as_issued = "95"
    after = open_package(desk.export(SAVED, corrected, record(3))).archive
    assert [(each.kind, each.name) for each in compare(before, after)] == [
        ("removed", "zhejiang/ZJ1"),
        ("changed", "zhejiang/ZJ2"),
        ("added", "zhejiang/ZJ3"),
    ]
    (changed,) = [each for each in compare(before, after) if each.kind == "changed"]
    assert list(changed.changes) == ["grade"]
    assert compare(before, before) == []
