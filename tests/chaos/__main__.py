"""`python -m tests.chaos --rounds N --seed S`: faults against real nodes under load, round after round.

Each round has a seed of its own; one that fails is repeated from it, on new nodes. Exit status: 0 when nothing was
wrong in any round, 1 when something was, 2 when it was used wrongly. Interrupted, it is gone on with by the same
command.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tests.chaos.faults import KINDS, draw
from tests.chaos.report import OtherRunError, Report, table
from tests.chaos.rounds import Arena, Outcome, arena

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "chaos.json"
ROUNDS_OF_ONE_FEDERATION = 50
"""After so many rounds the nodes are made anew: a log of some ten thousand entries has seen enough."""
REPEATS = 3
"""How often a round that failed is repeated from its seed."""


def main() -> int:
    asked = _asked()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell had it ignored
        signal.signal(number, signal.default_int_handler)
    console = Console()
    names = tuple(asked.fault or ())
    if asked.repeat is not None:
        return min(1, _repeat(asked.repeat, names, console))
    try:
        report = Report(asked.report, asked.seed, asked.rounds)
    except OtherRunError as error:
        console.print(str(error), markup=False)
        return 2
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("making nodes", total=asked.rounds, completed=len(report.read()))
        try:
            _run(report, names, progress, task)
        except KeyboardInterrupt:
            progress.stop()
            console.print(f"Interrupted. The same command goes on after round {len(report.read())}.")
            return 130
    report.end()
    rounds = report.read()
    _show(rounds, console)
    if len(rounds) < asked.rounds:
        console.print(f"Another process still does the rest of the {asked.rounds}.")
    return 1 if any(each["wrong"] for each in rounds) else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=(__doc__ or "").partition("\n\n")[2],
        epilog="Several of these may run at once with the same seed and report: they share the rounds.",
    )
    parser.add_argument("--rounds", type=int, default=50, help="how many rounds in all (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="from which everything is drawn (default 1)")
    parser.add_argument("--report", type=Path, default=RESULTS, help="JSON file (default %(default)s)")
    parser.add_argument(
        "--repeat", type=int, metavar="SEED", help="only the round of this seed, on new nodes"
    )
    parser.add_argument("--fault", action="append", choices=sorted(KINDS), help="only this kind; repeatable")
    return parser.parse_args()


def _run(report: Report, names: tuple[str, ...], progress: Progress, task: TaskID) -> None:
    number = report.take()
    while number is not None:
        with arena(report.seed_of(number)) as made:
            for _ in range(ROUNDS_OF_ONE_FEDERATION):
                seed = report.seed_of(number)
                outcome = made.run(number, seed, draw(seed, names))
                report.add(outcome)
                progress.update(task, completed=len(report.read()), description=_last(outcome))
                if not outcome.is_good:
                    _tell(outcome, made, progress.console)
                    break
                number = report.take()
                if number is None:
                    return
        if not outcome.is_good:
            failed = _repeat(outcome.seed, names, progress.console)
            progress.console.print(
                f"Round {outcome.number} repeated from its seed: {'fails' if failed else 'good'}."
            )
            number = report.take()


def _repeat(seed: int, names: tuple[str, ...], console: Console) -> int:
    """Do the round of ``seed`` several times on new nodes; return how often something was wrong."""
    failed = 0
    with arena(seed) as made:
        for time in range(1, REPEATS + 1):
            outcome = made.run(time, seed, draw(seed, names))
            failed += not outcome.is_good
            console.print(f"seed {seed}, time {time}: {', '.join(outcome.faults)}")
            if not outcome.is_good:
                _tell(outcome, made, console)
    return failed


def _last(outcome: Outcome) -> str:
    return f"{', '.join(outcome.names)}: {'good' if outcome.is_good else 'WRONG'}"


def _tell(outcome: Outcome, made: Arena, console: Console) -> None:
    console.print(f"[red]Round {outcome.number}, seed {outcome.seed}[/]: {'; '.join(outcome.faults)}")
    for what in outcome.wrong[:20]:
        console.print(f"  {what}", markup=False)
    console.print(f"  The nodes' folders are kept: {made.federation.folder}")
    console.print(f"  Again: python -m tests.chaos --repeat {outcome.seed}")


def _show(rounds: list[dict[str, object]], console: Console) -> None:
    shown = Table("fault", "rounds", "good", "recovery s, median", "max", "what clients saw most")
    for row in table(rounds):
        seen = ", ".join(f"{name} {count}" for name, count in row["seen"].items())
        cells = (row["rounds"], row["good"], row["recovered_s_median"], row["recovered_s_max"], seen)
        shown.add_row(row["fault"], *map(str, cells))
    console.print(shown)
    acknowledged = sum(int(str(each["acknowledged"])) for each in rounds)
    failed = sum(bool(each["wrong"]) for each in rounds)
    console.print(
        f"{len(rounds)} rounds, {failed} with something wrong; {acknowledged:,} acknowledgements checked"
    )


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        status = main()
        sys.stdout.flush()
        os._exit(status)  # threads of gRPC may still wait for nodes that are gone
