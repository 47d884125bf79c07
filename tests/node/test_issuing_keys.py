"""Keys of what learners take away are replaced, and what the last ones signed goes on to verify."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.clock import system_clock
from gateway.errors import KeyFileError
from gateway.node.folder import DOCUMENT_CERTIFICATE, PAST_CREDENTIAL_KEYS, NodeFolder
from gateway.node.issuing_keys import load_document_signer, load_issuer
from tests.processes.provinces import ProcessNode, make_node


@pytest.fixture
def node(tmp_path: Path) -> ProcessNode:
    made = make_node(tmp_path, "zhejiang", records=False)
    with made.folder.config.open("a", encoding="utf-8") as config:
        config.write('\n[credentials]\ndomain = "credentials.zhejiang.example"\n')
    return made


def keys(folder: NodeFolder, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["keys", *arguments, "--node", str(folder.root)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def published(node: ProcessNode) -> list[str]:
    document = load_issuer(node.folder, node.config).did_document()
    asserting = set(document["assertionMethod"])
    return [each["publicKeyMultibase"] for each in document["verificationMethod"] if each["id"] in asserting]


def test_past_credential_keys_stay_published_until_their_line_is_deleted(node: ProcessNode) -> None:
    names = published(node)
    for _ in range(2):
        keys(node.folder, "rotate", "credential")
        names.insert(0, load_issuer(node.folder, node.config).key_name)
    assert published(node) == names
    assert len(set(names)) == 3
    shown = keys(node.folder, "list", "--output", "json")
    assert all(name in shown for name in names)
    past = node.folder.key(PAST_CREDENTIAL_KEYS)
    past.write_text(f"{names[2]}\n", encoding="ascii")
    assert published(node) == [names[0], names[2]]


def test_a_line_that_is_no_key_is_named(node: ProcessNode) -> None:
    node.folder.key(PAST_CREDENTIAL_KEYS).write_text("z6MkNoKey\n", encoding="ascii")
    with pytest.raises(KeyFileError, match=r"credential-past\.txt: line 1"):
        load_issuer(node.folder, node.config)


def test_a_new_key_for_documents_has_a_certificate_of_its_own_even_after_a_crash(node: ProcessNode) -> None:
    now = system_clock()
    before = load_document_signer(node.folder, node.config, now)
    old_certificate = node.folder.key(DOCUMENT_CERTIFICATE).read_bytes()
    keys(node.folder, "rotate", "documents")
    after = load_document_signer(node.folder, node.config, now)
    assert after.certificate.public_key() != before.certificate.public_key()
    assert after.certificate.public_key() == after.key.public_key()
    node.folder.key(DOCUMENT_CERTIFICATE).write_bytes(old_certificate)  # as if it had ended in between
    mended = load_document_signer(node.folder, node.config, now + timedelta(seconds=1))
    assert mended.certificate.public_key() == after.key.public_key()
