"""Which versions of the protocol two nodes can speak with one another."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.peers.card import OLDEST_VERSION_ACCEPTED, PROTOCOL_VERSION, Card


@dataclass(frozen=True, slots=True)
class Versions:
    """All versions from ``oldest`` to ``newest``, both included."""

    oldest: int
    newest: int

    def __contains__(self, version: int) -> bool:
        """Whether ``version`` is one of them."""
        return self.oldest <= version <= self.newest

    def __str__(self) -> str:
        """For people: ``1``, or ``1 to 3``."""
        return str(self.newest) if self.oldest == self.newest else f"{self.oldest} to {self.newest}"

    def shared_with(self, other: Versions) -> int | None:
        """Return the newest version that both speak, ``None`` when there is none."""
        newest = min(self.newest, other.newest)
        return newest if newest >= max(self.oldest, other.oldest) else None

    def of_answer_to(self, version: int) -> int:
        """Return in which version a message of ``version`` is answered or refused: never in a newer one.

        So a peer that speaks a version which is too old here can read why it is refused.
        """
        return min(version, self.newest)


SPOKEN = Versions(OLDEST_VERSION_ACCEPTED, PROTOCOL_VERSION)
"""What this program speaks."""


def versions_of(card: Card) -> Versions:
    """Return what the node of ``card`` speaks, as the card says."""
    return Versions(card.oldest_version_accepted, card.protocol_version)
