"""Names that deceive: look-alikes, line breaks, control characters, ways out of a folder, markup."""

from __future__ import annotations

import json
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

import grpc
import pytest
from rich.console import Console

from creditexchange.v1.exchange_pb2 import QueryRecordsRequest, RecordQuery
from gateway.cli import output
from gateway.clock import system_clock
from gateway.errors import CallerError, CardError, ConfigError, EnvelopeError
from gateway.exchange.messages import QUERY_RECORDS, RECORD_QUERY_TYPE
from gateway.node.folder import load_keys
from gateway.peers.card import verify_card
from gateway.peers.onboarding import accept, remove
from gateway.peers.roster import load_roster
from gateway.signing.envelope import seal
from tests.attacks.conftest import Target
from tests.federation.provinces import NOW, Province

LOOK_ALIKES = [
    "zh\u0435jiang",  # Cyrillic
    "zhejiang\u200b",  # zero width space
    "\u202ezhejiang",  # right-to-left override
    "\uff5ahejiang",  # full width, the same under NFKC
    "Zhejiang",
    "zhejiang\n",
    "zhejiang\x00",
    "../zhejiang",
    "zhejiang/../shanghai",
    "..",
    "",
    "z" * 33,
    "zhejiang.toml",
    "zhejiang'''\nstate = 'active'",
]
STEERING = "\x1b[1A\x1b[2Kfingerprint: 0000\r\n\x9b2J\u202e\u2028"


@pytest.mark.parametrize("node_id", LOOK_ALIKES, ids=ascii)
def test_a_card_in_a_name_that_looks_like_anothers_is_refused(node_id: str, tmp_path: Path) -> None:
    message = Province("attacker").card_message(node_id=node_id)
    with pytest.raises((CardError, EnvelopeError)):
        accept(verify_card(message), tmp_path / "peers", NOW)
    assert not list(tmp_path.rglob("*.toml*"))


def test_a_legal_id_is_itself_under_every_normal_form() -> None:
    made = verify_card(Province("xn--zhejiang-9").card_message())
    forms = {unicodedata.normalize(form, made.node_id) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert forms == {made.node_id} == {made.node_id.casefold()}


@pytest.mark.parametrize("name", [STEERING, "\u202eiahgnahS", "x" * 501, "Shang\nhai"])
def test_a_card_whose_name_for_people_is_not_what_it_looks_like_is_refused(name: str) -> None:
    with pytest.raises(CardError, match="not printable"):
        verify_card(Province("anhui").card_message(names={"en": name}))


def test_a_signature_that_nothing_proves_cannot_break_the_peers_file(tmp_path: Path) -> None:
    """Whoever carries a card can add signatures that the fingerprint does not cover; ''' ends TOML's string."""
    message = Province("anhui").card_message()
    message.signatures.add(key_id="''' # ", signature=b"x")
    with pytest.raises(CardError, match="a key id is none"):
        accept(verify_card(message), tmp_path, NOW)
    message.signatures[-1].key_id = "sha256:" + "0" * 64
    path = accept(verify_card(message), tmp_path, NOW)
    assert set(tomllib.loads(path.read_text())) == {"node_id", "state", "fingerprint", "accepted_at", "card"}
    assert load_roster(tmp_path, "zhejiang").get("anhui") is not None


@pytest.mark.parametrize("change", ["shanghai.toml", "zhejiang\u200b.toml", "zh\u0435jiang.toml"])
def test_a_peers_file_under_another_name_is_refused(tmp_path: Path, change: str) -> None:
    accept(Province("zhejiang").card(), tmp_path, NOW).rename(tmp_path / change)
    with pytest.raises(ConfigError, match="differ"):
        load_roster(tmp_path, "jiangsu")


@pytest.mark.parametrize(
    "line", ['state = "\u0430ctive"', 'st\u0430te = "active"', 'state = "active"\nstate = "suspended"']
)
def test_look_alikes_and_repeats_in_a_peers_file_are_refused(tmp_path: Path, line: str) -> None:
    path = accept(Province("zhejiang").card(), tmp_path, NOW)
    text = path.read_text(encoding="utf-8")
    plain = next(each for each in text.splitlines() if each.startswith("state"))
    path.write_text(text.replace(plain, line), encoding="utf-8")
    with pytest.raises(ConfigError):
        load_roster(tmp_path, "jiangsu")


@pytest.mark.parametrize(
    "name", ["../zhejiang", "..", "/etc/passwd", "peers/../zhejiang", "zhejiang\x00", ""]
)
def test_removing_a_peer_reaches_no_other_file(tmp_path: Path, name: str) -> None:
    peers = tmp_path / "peers"
    accept(Province("zhejiang").card(), peers, NOW)
    (tmp_path / "zhejiang.toml").write_text("another file")
    with pytest.raises((CallerError, ValueError)):
        remove(name, peers)
    assert (tmp_path / "zhejiang.toml").exists()
    assert (peers / "zhejiang.toml").exists()


def test_nothing_that_a_peer_wrote_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A record's title, a name, a reason: in lines and in tables, on a terminal with colours."""
    for shown in (output.console, output.errors):
        was: Any = (shown._force_terminal, shown._color_system)
        shown._force_terminal = True
        try:
            table = output.table("title")
            table.add_row(STEERING)
            shown.print(table)
            shown.print(STEERING, markup=False)
        finally:
            shown._force_terminal, shown._color_system = was
    output.say(STEERING)
    output.complain(STEERING)
    captured = capsys.readouterr()
    written = captured.out + captured.err
    assert written.count("fingerprint: 0000") == 6
    for forbidden in ("\x1b[1A", "\x1b[2K", "\x9b", "\r", "\u202e", "\u2028"):
        assert forbidden not in written
    assert isinstance(output.console, Console)


def forged(target: Target, where: str, nasty: str) -> bytes:
    """A query by Zhejiang with its own valid signature and something nasty in one place."""
    query = RecordQuery()
    header = query.header
    header.protocol_version, header.pair_sequence = 1, 1
    header.message_id = header.exchange_id = bytes(16)
    header.sender, header.audience, header.method = "zhejiang", "shanghai", QUERY_RECORDS
    header.issue_time.FromDatetime(system_clock())
    header.expire_time.FromDatetime(system_clock())
    type_, key_id = RECORD_QUERY_TYPE, ""
    if where == "payload_type":
        type_ = nasty
    elif where == "key_id":
        key_id = nasty
    else:
        setattr(header, where, nasty)
    keys = load_keys(target.zhejiang.folder, target.zhejiang.config)
    message = seal(query.SerializeToString(), type_, [keys.message])
    if key_id:
        message.signatures[0].key_id = key_id
    return QueryRecordsRequest(message=message).SerializeToString()


NASTY = '\n{"event": "exchange", "outcome": "OK", "peer": "anhui"}\r\n\x1b[2J\u2028'


@pytest.mark.parametrize("where", ["sender", "audience", "method", "checkpoint", "payload_type", "key_id"])
def test_a_peer_writes_no_line_into_the_nodes_log(target: Target, where: str) -> None:
    before = len(target.shanghai.log_text)
    channel = target.zhejiang.channel_to(target.shanghai)
    for nasty in (NASTY, "x" * 10_000, "../../../etc/passwd", "%s%n{0}"):
        with pytest.raises(grpc.RpcError):
            channel.unary_unary(QUERY_RECORDS)(
                forged(target, where, nasty), timeout=10, metadata=(("x-note", "abc"), ("user-agent", "%0a"))
            )
    written = target.shanghai.log_text[before:]
    for line in written.splitlines():
        event = json.loads(line)
        assert isinstance(event, dict)
        assert len(line) < 2_000
        # Upkeep may say that Anhui is away; that Anhui was answered only the attacker says.
        assert not (event.get("peer") == "anhui" and event.get("outcome") == "OK")
    assert not set("\x1b\u2028") & set(written)
    assert "etc/passwd" not in written
