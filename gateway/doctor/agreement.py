"""What a signed echo shows of cards, message size, federation secret and grants. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from creditexchange.v1.exchange_pb2 import EchoAnswer, GrantSummary
from creditexchange.v1.reason_pb2 import REASON_UNSPECIFIED, Reason
from gateway.doctor.opinions import Opinions
from gateway.doctor.step import Side, State, Step
from gateway.exchange.asking.check import Echo
from gateway.exchange.messages import Snapshot
from gateway.learners.epoch_check import epoch_check
from gateway.peers.roster import Peer
from gateway.policy.grants import Access
from gateway.policy.purposes import KINDS, kind_word, purpose_word

OUR_CARD, THEIR_CARD, SECRET, LOG = "our card", "their card", "federation secret", "log"
GRANTS_TO_US, GRANTS_TO_THEM = "grants to us", "grants to them"


@dataclass(frozen=True, slots=True)
class Wish:
    """What this node wants to ask the peer for."""

    purpose: int = 0
    """0 = whatever the peer grants."""
    kinds: tuple[int, ...] = ()
    """Empty = whatever the peer grants."""
    without_consent: bool = False


ANYTHING = Wish()


def judge_our_card(answer: EchoAnswer, serial: int) -> Step:
    """Whether the peer has accepted our newest card."""
    accepted = answer.accepted_card_serial
    step = Step(OUR_CARD, "ask which card of ours the peer has accepted", f"serial {accepted}", f"{serial}")
    if accepted < serial:
        remedy = (
            f"Send the peer's operator your newest card, serial {serial} (`credit-gateway card`), "
            "and have it accepted "
            "there with `credit-gateway peers add`."
        )
        return step.found("OUR_CARD_OUTDATED", Side.THEIRS, remedy, state=State.WARNING)
    if accepted > serial:
        remedy = (
            "Find out why this node shows an older card than it has sent before: was its folder "
            "put back from a backup? "
            "Change something in [card] or [node] names, so that it makes a new card, and send that."
        )
        return step.found("OUR_CARD_WENT_BACK", Side.OURS, remedy, state=State.WARNING)
    return step


def judge_their_card(answer: EchoAnswer, peer: Peer) -> Step:
    """Whether we have accepted the peer's newest card."""
    accepted, newest = peer.card.serial, answer.card_serial
    step = Step(THEIR_CARD, "ask for the serial of the peer's newest card", f"{newest}", f"serial {accepted}")
    if not newest:
        return Step(THEIR_CARD, step.tried, "not stated", step.expected, State.NOTE)
    if newest > accepted:
        remedy = (
            f"Ask the operator of {peer.node_id} for its newest card, compare its fingerprint by "
            "telephone and run "
            "`credit-gateway peers add`."
        )
        return step.found("THEIR_CARD_OUTDATED", Side.OURS, remedy, state=State.WARNING)
    return step


def judge_size(answer: EchoAnswer, ours: int) -> Step:
    """Whether both take messages of the same size, given that one of our largest has arrived."""
    theirs = answer.message_bytes_max
    tried = "send a request of the largest size and ask for the peer's limit"
    step = Step("message size", tried, f"it arrived; the peer's limit is {theirs:,} bytes", f"{ours:,} bytes")
    if not theirs:
        return Step(step.name, tried, "it arrived; the peer's limit is not stated", step.expected, State.NOTE)
    if theirs > ours:
        remedy = (
            f"Set limits.message_bytes_max in node.toml to {theirs}: the peer's largest answers do "
            "not fit here."
        )
        return step.found("OUR_MESSAGE_LIMIT_SMALLER", Side.OURS, remedy, state=State.WARNING)
    return step


def too_large_for_them(ours: int, theirs: int) -> Step:
    """Return the step for a peer that refused a request of our largest size."""
    stated = f"its limit is {theirs:,} bytes" if theirs else "its limit is not stated"
    return Step(
        "message size",
        "send a request of the largest size and ask for the peer's limit",
        f"it was refused; {stated}",
        f"{ours:,} bytes",
    ).found(
        "THEIR_MESSAGE_LIMIT_SMALLER",
        Side.THEIRS,
        f"Have the peer's operator set limits.message_bytes_max in its node.toml to {ours}; "
        "queries in bulk do not "
        "arrive. If it has, a proxy before it has a smaller limit.",
    )


def judge_secret(echo: Echo, peer: Peer, snapshot: Snapshot, opinions: Opinions) -> Step:
    """Whether both have the federation secret of one epoch at least, and the same under every common name."""
    tried = "compare the federation secrets without showing them"
    if not snapshot.secrets:
        return Step(SECRET, tried, "this node has none", "one").found(
            "NO_SECRET_HERE",
            Side.OURS,
            "Get the federation secret and name its epoch in node.toml, [federation] epochs.",
        )
    ours, theirs = list(snapshot.secrets), list(echo.answer.federation_epochs)
    seen = f"the peer has {', '.join(_printable(one) for one in theirs) or 'none'}"
    step = Step(SECRET, tried, seen, f"the secret of {' or '.join(ours)}, the same as here")
    common = [epoch for epoch in ours if epoch in theirs]
    if not common:
        side = opinions.whose_secret(ours[0])
        remedy = _bring(side, f"the secret of epoch {ours[0]}", "an epoch that the federation uses")
        return step.found("OTHER_EPOCH", side, remedy)
    checks = {one.epoch: one.check for one in echo.answer.epoch_checks}
    if any(epoch not in checks for epoch in common):
        unknown = f"{seen}; whether it is the same secret is not stated"
        return Step(SECRET, tried, unknown, step.expected, State.NOTE)
    for epoch in common:
        expected = epoch_check(snapshot.secrets[epoch], snapshot.node_id, peer.node_id, echo.content)
        if not hmac.compare_digest(checks[epoch], expected):
            return _other_secret(step, epoch, opinions)
    if common[0] != ours[0]:
        remedy = (
            f"Have the peer's operator put the secret of epoch {ours[0]} in place before {common[0]} ends."
        )
        return step.found("NEWEST_EPOCH_MISSING", Side.THEIRS, remedy, state=State.WARNING)
    return Step(SECRET, tried, f"{seen}; {', '.join(common)} is the same", step.expected)


def _other_secret(step: Step, epoch: str, opinions: Opinions) -> Step:
    side = opinions.whose_secret(epoch)
    remedy = _bring(side, f"the true secret of epoch {epoch}", f"the true secret of epoch {epoch}")
    seen = f"the peer has another secret under the name {epoch}: no learner would be found"
    return step.found("OTHER_SECRET", side, remedy, seen=seen)


def judge_log(answer: EchoAnswer, *, is_ours_failing: bool) -> Step:
    """Whether both nodes can log exchanges."""
    step = Step(LOG, "ask whether the peer can write its audit log", "it can, and so can we", "both can")
    if is_ours_failing:
        remedy = "Look at this node's database and disk: `credit-gateway check` says more."
        return step.found(
            "AUDIT_UNAVAILABLE_HERE", Side.OURS, remedy, seen="this node cannot write its own log"
        )
    if answer.would_refuse != REASON_UNSPECIFIED:
        names = {value: name for name, value in Reason.items()}
        reason = names.get(answer.would_refuse, "REASON_INTERNAL").removeprefix("REASON_")
        remedy = (
            "Have the peer's operator look at its database and disk: its audit log could not be "
            "written, so it answers "
            "no query."
        )
        return step.found(reason, Side.THEIRS, remedy, seen=f"it would refuse any query: {reason}")
    return step


def judge_grants_to_us(grants: Sequence[GrantSummary], wish: Wish) -> Step:
    """Whether the peer lets us ask for what we wish."""
    expected = (
        f"{purpose_word(wish.purpose)}: {_kinds(wish.kinds) or 'any kind'}" if wish.purpose else "any grant"
    )
    step = Step(GRANTS_TO_US, "ask what the peer lets this node ask for", _granted(grants), expected)
    held = [grant for grant in grants if grant.kinds and wish.purpose in (0, grant.purpose)]
    if not held:
        finding = "PURPOSE_NOT_GRANTED" if wish.purpose and grants else "NO_GRANT"
        what = f" for {purpose_word(wish.purpose)}" if wish.purpose else ""
        remedy = f"Have the peer's operator write a grant{what} for this node into its access.toml."
        return step.found(finding, Side.THEIRS, remedy)
    missing = [kind for kind in wish.kinds if not any(kind in grant.kinds for grant in held)]
    if missing:
        remedy = f"Have the peer's operator add {_kinds(missing)} to its grant, or ask for less."
        return step.found("KIND_NOT_GRANTED", Side.THEIRS, remedy)
    if wish.without_consent and _needs_consent(held, wish.kinds):
        remedy = (
            "Obtain the learner's consent before asking (docs/consent.md): the peer grants this with "
            "consent only."
        )
        return step.found("CONSENT_REQUIRED", Side.OURS, remedy)
    return step


def judge_grants_to_them(access: Access, peer: str) -> Step:
    """What we let the peer ask for: a note when it is nothing, which may well be meant."""
    held = [(purpose, grant) for purpose, grant in access.of_peer(peer) if grant.kinds]
    tried = "read access.toml"
    if not held:
        return Step(
            GRANTS_TO_THEM,
            tried,
            "nothing",
            "what you agreed on",
            State.NOTE,
            "NO_GRANT_HERE",
            Side.NOBODY,
            f"If {peer} is to ask this node, write a grant into access.toml.",
        )
    words = [
        f"{purpose_word(purpose)}: {_kinds(sorted(grant.kinds))}"
        f"{' (with consent)' if grant.consent_required else ''}"
        for purpose, grant in held
    ]
    return Step(GRANTS_TO_THEM, tried, "; ".join(words), "what you agreed on")


def _needs_consent(held: Sequence[GrantSummary], kinds: Sequence[int]) -> bool:
    wanted = kinds or sorted({kind for grant in held for kind in grant.kinds})
    return any(all(grant.consent_required for grant in held if kind in grant.kinds) for kind in wanted)


def _bring(side: Side, secret: str, other: str) -> str:
    if side is Side.OURS:
        return f"Put {other} into keys/ and node.toml of this node: the other peers do not agree with it."
    if side is Side.THEIRS:
        return (
            f"Have the peer's operator put {secret} into its keys/ and node.toml: the other peers "
            "agree with us."
        )
    return (
        f"Compare with the operator of the peer where each got its secret, and put {secret} in "
        "place on the side that "
        "has the wrong one: no other peer could be asked."
    )


def _granted(grants: Sequence[GrantSummary]) -> str:
    words = [
        f"{purpose_word(grant.purpose)}: "
        f"{_kinds(grant.kinds)}{' (with consent)' if grant.consent_required else ''}"
        for grant in grants
        if grant.kinds
    ]
    return "; ".join(words) or "nothing"


def _kinds(kinds: Sequence[int]) -> str:
    """Return kinds in words, by those that are missing where that is shorter."""
    missing = [kind for kind in KINDS.values() if kind not in kinds]
    if len(missing) >= len(kinds):
        return ", ".join(kind_word(kind) for kind in kinds)
    return f"all kinds but {', '.join(map(kind_word, missing))}" if missing else "all kinds"


def _printable(text: str) -> str:
    return "".join(character for character in text[:16] if character.isprintable())
