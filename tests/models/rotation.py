"""The plan by which a key is replaced, as a small model of which every state is visited.

    announce   the card lists the next key beside the one in use
    overlap    peers fetch the card, each at its own pace
    switch     messages are signed with the new key; the card gives the old one an end
    retire     the card lists the new key alone

Time is in ticks. One message is followed: it is sent at any moment and arrives at any moment of its life. One peer
keeps to the protocol: it fetches the card at least every ``fetch_ticks``, a fetch takes up to ``lag_ticks``, and it
judges by its own clock, which is off by ``clock_off``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

OLD, NEW = "old", "new"
ANNOUNCED_AT = 1
"""When the node announces; where the peer is between two fetches then is left open."""
Phase = Literal["before", "announced", "switched", "retired"]


@dataclass(frozen=True)
class Plan:
    """What is chosen, and what is given."""

    overlap_ticks: int
    """Least time from the announcement to the switch."""
    retire_ticks: int
    """From the switch to the end of the old key."""
    waits_for_peer: bool = True
    """Whether the switch also waits until the peer has said that it took up the card (signed echo)."""
    start_lead_ticks: int | None = None
    """How long before the switch the card lets the new key begin; ``None`` states no beginning."""
    other_suite: bool = False
    """Whether the new key is of another suite: then a peer demands a signature of each that is live."""
    signs_with_both: bool = False
    """Whether messages bear both signatures from the announcement until the old key has ended."""
    fetch_ticks: int = 2
    lag_ticks: int = 1
    life_ticks: int = 3
    """How long a message is accepted after it was signed: window and tolerated skew."""
    clock_off: int = 0


@dataclass(frozen=True)
class State:
    """Everything that the future depends on."""

    now: int = 0
    phase: Phase = "before"
    switched_at: int = 0
    told: bool = False
    """Whether the peer's echo has told that it has the announcing card."""
    peer_has: Phase = "before"
    fetched_at: int = 0
    fetching: tuple[Phase, int] | None = None
    """The card on its way, and when it is there at the latest."""
    message: tuple[frozenset[str], int] | None = None
    """By which keys it is signed, and when it was; ``None`` when none is on its way."""


def violations(plan: Plan) -> list[State]:
    """Return every state in which a message that was signed under a key in use is refused."""
    seen, queue, found = {State()}, [State()], []
    while queue:
        state = queue.pop()
        if state.message is not None and not is_accepted(plan, state):
            found.append(state)
            continue
        for following in steps(plan, state):
            if following not in seen:
                seen.add(following)
                queue.append(following)
    return found


def steps(plan: Plan, state: State) -> Iterator[State]:
    """Yield every state that may come next."""
    yield from node_steps(plan, state)
    if state.fetching is None:
        yield replace(state, fetching=(state.phase, state.now + plan.lag_ticks))
    else:
        yield replace(state, peer_has=state.fetching[0], fetched_at=state.now, fetching=None)
    if state.peer_has != "before" and not state.told:
        yield replace(state, told=True)
    if state.message is None:
        yield replace(state, message=(keys_in_use(plan, state), state.now))
    else:
        yield replace(state, message=None)  # it arrived, or was lost
    if may_pass(plan, state):
        yield replace(state, now=state.now + 1)


def node_steps(plan: Plan, state: State) -> Iterator[State]:
    if state.phase == "before":
        if state.now == ANNOUNCED_AT:
            yield replace(state, phase="announced")
    elif state.phase == "announced" and is_time_to_switch(plan, state):
        yield replace(state, phase="switched", switched_at=state.now)
    elif state.phase == "switched" and state.now >= state.switched_at + plan.retire_ticks:
        yield replace(state, phase="retired")


def is_time_to_switch(plan: Plan, state: State) -> bool:
    return state.now >= ANNOUNCED_AT + plan.overlap_ticks and (state.told or not plan.waits_for_peer)


def may_pass(plan: Plan, state: State) -> bool:
    """Whether time may go on: not while the peer owes a fetch or a message is past its life."""
    if (
        state.now
        >= ANNOUNCED_AT + plan.overlap_ticks + plan.fetch_ticks + plan.retire_ticks + plan.life_ticks
    ):
        return False
    if state.phase == "before" and state.now == ANNOUNCED_AT:
        return False
    if state.fetching is not None and state.now >= state.fetching[1]:
        return False
    if state.fetching is None and state.now >= state.fetched_at + plan.fetch_ticks:
        return False
    return state.message is None or state.now < state.message[1] + plan.life_ticks


def keys_in_use(plan: Plan, state: State) -> frozenset[str]:
    if state.phase == "before":
        return frozenset({OLD})
    if plan.signs_with_both and state.phase != "retired":
        return frozenset({OLD, NEW})
    return frozenset({OLD if state.phase == "announced" else NEW})


def live_keys(plan: Plan, state: State) -> set[str]:
    """What the peer's card and clock say."""
    clock = state.now + plan.clock_off
    switch_at = ANNOUNCED_AT + plan.overlap_ticks
    begun = plan.start_lead_ticks is None or clock >= switch_at - plan.start_lead_ticks
    if state.peer_has == "before":
        return {OLD}
    if state.peer_has == "announced":
        return {OLD, NEW} if begun else {OLD}
    if state.peer_has == "switched" and clock < state.switched_at + plan.retire_ticks:
        return {OLD, NEW}
    return {NEW}


def is_accepted(plan: Plan, state: State) -> bool:
    assert state.message is not None
    live, signed = live_keys(plan, state), state.message[0]
    return live <= signed if plan.other_suite else bool(live & signed)
