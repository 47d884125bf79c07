"""A learner takes records away over real processes; the issuer revokes, and the status list says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import pytest
import urllib3

from gateway.clock import monotonic_s
from gateway.exports.status import encoded_list
from gateway.exports.verifying import verify_archive
from tests.exports.documents import by_both_suites, npm_verify
from tests.ports import free_port
from tests.processes.provinces import DEMO_LEARNER, ProcessNode, cli, introduce, make_node

DOMAIN = "credentials.zhejiang.example"
HTTP = urllib3.PoolManager(retries=False)
REVOKED = "AH1002"
PASSPHRASE = "four words of mine"


@dataclass
class Story:
    zhejiang: ProcessNode
    anhui: ProcessNode
    page: str
    folder: Path

    def take_away(self, form: str, *arguments: str, check: int = 0) -> Path:
        out = self.folder / f"{form}-{len(list(self.folder.iterdir()))}"
        cli("archive", "export", *self.whose, "--format", form, "--out", str(out), *arguments, check=check)
        return out

    @property
    def whose(self) -> tuple[str, ...]:
        root = str(self.zhejiang.folder.root)
        return ("--node", root, "--learner", DEMO_LEARNER, "--purpose", "employment", "--peer", "anhui")

    @property
    def passphrase(self) -> tuple[str, str]:
        path = self.folder / "passphrase"
        path.write_text(f"{PASSPHRASE}\n")
        path.chmod(0o600)
        return "--passphrase-file", str(path)

    def save(self, name: str) -> str:
        out = str(self.folder / name)
        cli("archive", "save", *self.whose, "--out", out, *self.passphrase)
        return out

    def served(self, address: str) -> dict:
        """What the open page has under an address of the domain; TLS is a proxy's business."""
        answer = HTTP.request("GET", self.page + address.removeprefix(f"https://{DOMAIN}"))
        assert answer.status == 200, address
        return answer.json()


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    anhui = make_node(tmp_path, "anhui")
    zhejiang = make_node(tmp_path, "zhejiang", secret_from=anhui, records=False)
    address = f"127.0.0.1:{free_port()}"
    for node in (anhui, zhejiang):
        text = node.folder.config.read_text(encoding="utf-8")
        listen = f'listen = "{address}"\n' if node is zhejiang else ""
        text = text.replace("[audit]\n", f"[audit]\ncosign_s = 0.5\n{listen}")
        text += f'\n[credentials]\ndomain = "{DOMAIN}"\n' if node is zhejiang else ""
        node.folder.config.write_text(text, encoding="utf-8")
    introduce(anhui, zhejiang)
    folder = tmp_path / "learner"
    folder.mkdir()
    try:
        anhui.start()
        zhejiang.start()
        yield Story(zhejiang, anhui, f"http://{address}", folder)
    finally:
        for node in (anhui, zhejiang):
            node.close()


def test_what_was_taken_away_verifies_until_its_issuer_revokes_it(story: Story) -> None:
    whole = json.loads(story.take_away("clr").read_bytes())
    archive = verify_archive(whole)
    assert archive.issuer == f"did:web:{DOMAIN}"
    inner = {
        each["credentialSubject"]["learningRecord"]["recordId"]: each
        for each in whole["credentialSubject"]["verifiableCredential"]
    }
    revoked = inner.pop(REVOKED)
    other = next(iter(inner.values()))

    def seen(credential: dict) -> tuple[bool, dict]:
        lists = [story.served(each["statusListCredential"]) for each in credential["credentialStatus"]]
        documents = [story.served(f"https://{DOMAIN}/.well-known/did.json"), *lists]
        results = npm_verify(
            by_both_suites("", credential, status=True), documents, story.folder, lists[0]["validFrom"]
        )
        assert len({json.dumps(each["status"]) for each in results}) == 1
        return all(each["verified"] for each in results), results[0]["status"]

    assert seen(revoked) == (True, {"revocation": False, "suspension": False})
    before = story.save("old")
    cli("records", "revoke", "--node", str(story.anhui.folder.root), REVOKED, "--reason", "decision 17")
    entry = revoked["credentialStatus"][0]
    end_s = monotonic_s() + 60
    address = entry["statusListCredential"]
    while story.served(address)["credentialSubject"]["encodedList"] == encoded_list([]):
        assert monotonic_s() < end_s, story.zhejiang.log_text
        sleep(0.5)
    assert seen(revoked) == (True, {"revocation": True, "suspension": False})
    assert seen(other)[1] == {"revocation": False, "suspension": False}
    compared = cli(
        "archive", "compare", before, story.save("new"), *story.passphrase, "--output", "json", check=1
    )
    (changed,) = json.loads(compared.stdout)
    assert (changed["what"], changed["record"]) == ("changed", f"anhui/{REVOKED}")
    assert changed["changes"]["recordState"] == {"from": "valid", "to": "revoked"}
