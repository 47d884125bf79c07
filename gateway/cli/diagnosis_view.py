"""A diagnosis on the terminal: a table a peer and the one thing to mend; or as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.text import Text

from creditexchange.v1.operator_pb2 import (
    DIAGNOSIS_STATE_FAULT,
    DIAGNOSIS_STATE_NOTE,
    DIAGNOSIS_STATE_OK,
    DIAGNOSIS_STATE_WARNING,
    DiagnosePeerResponse,
    DiagnosisSide,
    DiagnosisState,
    DiagnosisStep,
    DiagnosisVerdict,
)
from gateway.cli.output import console, errors, say, table

_STYLES = {
    DIAGNOSIS_STATE_OK: "green",
    DIAGNOSIS_STATE_NOTE: "cyan",
    DIAGNOSIS_STATE_WARNING: "yellow",
    DIAGNOSIS_STATE_FAULT: "red",
}
_WHO = {
    "ours": "on this side",
    "theirs": "at the peer",
    "network": "in the network between",
    "either": "on one of the two sides",
}


@dataclass
class Diagnosis:
    """What came of one peer."""

    peer: str
    steps: list[DiagnosisStep] = field(default_factory=list)
    verdict: DiagnosisVerdict = field(default_factory=DiagnosisVerdict)

    @property
    def is_good(self) -> bool:
        """Whether exchanges with the peer work."""
        return self.verdict.state in (DIAGNOSIS_STATE_OK, DIAGNOSIS_STATE_NOTE, DIAGNOSIS_STATE_WARNING)


def collect(peer: str, events: Iterable[DiagnosePeerResponse]) -> Diagnosis:
    """Take up the events of one diagnosis; a terminal shows meanwhile which step was done last."""
    found = Diagnosis(peer)
    with errors.status(Text(f"{peer}: looking")) as status:
        for event in events:
            if event.HasField("verdict"):
                found.verdict = event.verdict
            else:
                found.steps.append(event.step)
                status.update(Text(f"{peer}: {event.step.name}"))
    return found


def show_diagnosis(found: Diagnosis) -> None:
    """Print steps and verdict for people."""
    rows = table("step", "", "tried", "seen", "expected", title=f"Peer {found.peer}")
    for step in found.steps:
        rows.add_row(
            step.name,
            Text(_state(step.state), style=_STYLES.get(step.state, "")),
            Text(step.tried),
            Text(step.seen),
            Text(step.expected),
        )
    console.print(rows)
    verdict = found.verdict
    if verdict.finding == "OK":
        notes = [step.remedy for step in found.steps if step.remedy]
        say(f"Nothing is to be mended with {found.peer}.{''.join(f' Note: {note}' for note in notes)}")
    else:
        urgency = "To mend" if verdict.state == DIAGNOSIS_STATE_FAULT else "It works; to mend soon"
        say(
            f"{urgency}, {_WHO.get(_side(verdict.side), '')} ({verdict.step}: {verdict.finding}): "
            f"{verdict.remedy}"
        )
    say()


def diagnosis_json(found: Diagnosis) -> dict[str, object]:
    """Return steps and verdict for programs."""
    verdict = found.verdict
    return {
        "peer": found.peer,
        "outcome": verdict.finding,
        "verdict": {
            "state": _state(verdict.state),
            "finding": verdict.finding,
            "step": verdict.step,
            "side": _side(verdict.side),
            "remedy": verdict.remedy,
        },
        "steps": [
            {
                "name": step.name,
                "state": _state(step.state),
                "finding": step.finding,
                "tried": step.tried,
                "seen": step.seen,
                "expected": step.expected,
                "side": _side(step.side),
                "remedy": step.remedy,
            }
            for step in found.steps
        ],
    }


def _state(state: DiagnosisState.ValueType) -> str:
    return DiagnosisState.Name(state).removeprefix("DIAGNOSIS_STATE_").lower()


def _side(side: DiagnosisSide.ValueType) -> str:
    word = DiagnosisSide.Name(side).removeprefix("DIAGNOSIS_SIDE_").lower()
    return "nobody" if word == "unspecified" else word
