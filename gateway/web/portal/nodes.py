"""The nodes that the pages name: this one and its accepted peers, read anew for each page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.peers.roster import Roster
from gateway.web.portal.timeline import Names, name_of


@dataclass(frozen=True)
class KnownNodes:
    """This node and its peers."""

    own: str
    """Node id."""
    own_names: Mapping[str, str]
    roster: Callable[[], Roster]

    def names(self) -> Names:
        """Return the names of all nodes."""
        peers = self.roster().peers.values()
        return {self.own: self.own_names} | {peer.node_id: peer.card.names for peer in peers}

    def peer_ids(self) -> set[str]:
        """Return the ids of the peers."""
        return set(self.roster().peers)

    def name(self, node_id: str, language: str) -> str:
        """Return what people call a node."""
        return name_of(node_id, self.names(), language)

    def all(self, language: str) -> list[tuple[str, str]]:
        """Return every node's id and name, this one first."""
        return [(node, name_of(node, names, language)) for names in (self.names(),) for node in names]

    def others(self, language: str) -> list[tuple[str, str]]:
        """Return the peers' ids and names."""
        return [each for each in self.all(language) if each[0] != self.own]
