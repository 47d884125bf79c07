"""Silent peers are asked for a sign of life; those that speak by themselves are left in peace."""

from datetime import timedelta

from gateway.errors import PeerFaultError
from gateway.upkeep.probing import SILENCE_S, Probing
from tests.federation.provinces import NOW
from tests.federation.simulator import Federation


def probing(federation: Federation, heard: dict[str, float]) -> Probing:
    node = federation["zhejiang"]
    return Probing(node.log.origin, node.wire, lambda node_id: heard.get(node_id, 0.0), node.clock)


def test_only_silent_peers_are_asked(federation: Federation) -> None:
    now_s = NOW.timestamp()
    heard = {"shanghai": now_s - SILENCE_S + 1, "anhui": now_s - SILENCE_S}
    node = federation["zhejiang"]
    assert probing(federation, heard).round(node.snapshot.roster) == 1
    assert [peer for peer, _ in node.wire.carried] == ["anhui"]


def test_a_peer_that_does_not_answer_stops_nothing(federation: Federation) -> None:
    node = federation["zhejiang"]
    node.wire.faults["shanghai"] = PeerFaultError("UNREACHABLE", "no connection.")
    assert probing(federation, {}).round(node.snapshot.roster) == 2
    assert [peer for peer, _ in node.wire.carried] == ["anhui"]


def test_a_clock_that_is_off_shows_on_both_sides(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    shanghai.clock = lambda: federation.now[0] - timedelta(seconds=12)
    zhejiang.ask("shanghai")

    def offset(node, peer: str) -> float:
        return node.metrics.registry.get_sample_value(
            "credit_gateway_peer_clock_offset_seconds", {"peer": peer}
        )

    assert offset(shanghai, "zhejiang") == 12
    assert -12.5 < offset(zhejiang, "shanghai") < -11.5
