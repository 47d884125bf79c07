"""Planned maintenance from node.toml over the card to the peers that honour and show it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.cli.reach_commands import reach_words
from gateway.clock import system_clock
from gateway.errors import PeerFaultError
from gateway.exchange.asking.askable import require_askable
from gateway.node.card_file import present_card
from gateway.node.config import load_config
from gateway.node.folder import load_keys
from gateway.peers.onboarding import accept
from gateway.peers.reach import Reaches
from gateway.peers.roster import load_roster
from gateway.peers.versions import SPOKEN
from gateway.schemes import load_scheme
from tests.processes.provinces import make_node


def test_maintenance_is_announced_honoured_shown_and_over(tmp_path: Path) -> None:
    shanghai = make_node(tmp_path, "shanghai", records=False)
    zhejiang = make_node(tmp_path, "zhejiang", records=False)
    before = shanghai.card
    start = system_clock().replace(microsecond=0) + timedelta(hours=1)
    end = start + timedelta(hours=2)
    with shanghai.folder.config.open("a", encoding="utf-8") as config:
        config.write(
            f'\n[[maintenance]]\nfrom = {start.isoformat()}\nuntil = {end.isoformat()}\nreason = {{ en = "new disks" }}\n'
        )

    card = shanghai.card
    assert card.serial > before.serial
    assert [(w.start, w.end, dict(w.notes)) for w in card.maintenance] == [(start, end, {"en": "new disks"})]

    accept(card, zhejiang.folder.peers, system_clock())
    (peer,) = load_roster(zhejiang.folder.peers, "zhejiang").peers.values()
    shown = {
        now: reach_words(zhejiang.folder, [peer], now)["shanghai"]
        for now in (start - timedelta(minutes=1), start, end)
    }
    assert shown[start - timedelta(minutes=1)].startswith("yes; maintenance from")
    assert shown[start].startswith("no: maintenance until")
    assert shown[end] == "yes"
    for now, is_honoured in ((start, True), (end - timedelta(seconds=1), True), (end, False)):
        if is_honoured:
            with pytest.raises(PeerFaultError, match="new disks") as fault:
                require_askable(peer, Reaches(), now, 5.0, spoken=SPOKEN)
            assert fault.value.outcome == "PEER_IN_MAINTENANCE"
        else:
            require_askable(peer, Reaches(), now, 5.0, spoken=SPOKEN)

    # What is over is no reason for a new card, whose fingerprint would have to be compared again.
    later = datetime.now(UTC) + timedelta(days=1)
    config, keys = load_config(shanghai.folder.root), load_keys(shanghai.folder, shanghai.config)
    scheme = load_scheme(shanghai.folder.scheme).reference
    assert present_card(shanghai.folder, config, keys, scheme, later).fingerprint == card.fingerprint
