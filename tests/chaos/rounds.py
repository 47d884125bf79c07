"""One round: faults begin and end under load, the nodes recover by themselves, the checker looks."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock import monotonic_s
from tests.chaos.acknowledged import Ledger
from tests.chaos.checker import Checker, Log
from tests.chaos.faults import BrokenError, Fault
from tests.chaos.federation import IDENTITY, POSTGRESQL, Federation
from tests.chaos.load import Load, wait_for_everybody
from tests.chaos.reading import PostgresStore, SqliteStore, Store

RECOVER_S = 120.0
"""How long after the last fault has ended every client may wait for its next answer."""
AGAIN_EVERY = 10
"""After so many rounds everything that was read before is read and compared again."""


@dataclass(frozen=True)
class Outcome:
    """What became of one round."""

    number: int
    seed: int
    faults: list[str]
    names: list[str]
    wrong: list[str]
    acknowledged: int
    recovered_s: float
    lasted_s: float
    outcomes: dict[str, int] = field(default_factory=dict)
    ends: dict[str, list[int]] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return not self.wrong


def seed_of(run_seed: int, number: int) -> int:
    """Each round has a seed of its own, by which it can be repeated alone."""
    return (run_seed * 1_000_003 + number) % 2**31


@contextmanager
def arena(seed: int) -> Iterator[Arena]:
    """Nodes that work, in a folder that is removed unless something was wrong with them.

    The folder is not below pytest's own, which every session of pytest closes to the user of PostgreSQL.
    """
    folder = Path(tempfile.mkdtemp(prefix="credit-gateway-chaos-"))
    with ExitStack() as stack:
        leftover = stack.enter_context(ExitStack())
        leftover.callback(shutil.rmtree, folder, ignore_errors=True)
        made = Arena(folder, seed)
        stack.callback(made.close)
        try:
            problems = made.warm_up()
            assert not problems, problems
            yield made
        except Exception:
            made.has_failed = True
            raise
        finally:
            if made.has_failed:
                leftover.pop_all()


class Arena:
    """A federation under load with its checker."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.ledger = Ledger()
        self.federation = Federation(folder, seed)
        self._rounds = 0
        self.has_failed = False
        try:
            self.load = Load(self.federation, self.ledger, seed)
            provinces = self.federation.provinces.values()
            self._checker = Checker({p.node_id: Log.of(p.node.card) for p in provinces}, IDENTITY)
            self.federation.start()
        except BaseException:
            self.federation.close()
            raise
        self.load.start()

    def close(self) -> None:
        """End everything, whatever state it is in."""
        with ExitStack() as stack:  # the last one first
            stack.callback(self.federation.close)
            stack.callback(self.load.stop)
            stack.callback(self.federation.heal)

    def warm_up(self) -> list[str]:
        """Wait until everything works for the first time."""
        return wait_for_everybody(self.ledger, {}, monotonic_s() + RECOVER_S)

    def run(self, number: int, seed: int, faults: Sequence[Fault]) -> Outcome:
        started_s = monotonic_s()
        before, outcomes = self.ledger.acknowledged, Counter(self.ledger.outcomes)
        wrong = self._run_faults(faults)
        healed_s = monotonic_s()
        wrong += wait_for_everybody(self.ledger, self.ledger.count(), healed_s + RECOVER_S)
        recovered_s = monotonic_s() - healed_s
        wrong += self.check()
        self.has_failed |= bool(wrong)
        ends = {p.node_id: list(p.ends) for p in self.federation.provinces.values() if p.ends}
        for province in self.federation.provinces.values():
            province.ends.clear()
        return Outcome(
            number=number,
            seed=seed,
            faults=[fault.told for fault in faults],
            names=[fault.name for fault in faults],
            wrong=wrong,
            acknowledged=self.ledger.acknowledged - before,
            recovered_s=round(recovered_s, 2),
            lasted_s=round(monotonic_s() - started_s, 2),
            outcomes=dict(Counter(self.ledger.outcomes) - outcomes),
            ends=ends,
        )

    def _run_faults(self, faults: Sequence[Fault]) -> list[str]:
        wrong: list[str] = []
        pause = threading.Event()

        def run(fault: Fault) -> None:
            pause.wait(fault.begins_s)
            try:
                fault.run(self.federation)
            except BrokenError as error:
                wrong.append(str(error))
            except Exception as error:  # noqa: BLE001 - the harness itself failed; the round must say so
                wrong.append(f"{fault.told} could not be done: {error!r}")

        threads = [threading.Thread(target=run, args=(fault,), name=fault.name) for fault in faults]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return wrong

    def check(self) -> list[str]:
        """Compare what clients were told with the logs, while the load rests."""
        self._rounds += 1
        with self.load.resting(), self._stores() as stores:
            wrong = self._checker.check(stores, self.ledger, again=self._rounds % AGAIN_EVERY == 0)
        return wrong + self._defects()

    def _defects(self) -> list[str]:
        """No node writes a traceback or finds a defect in itself, whatever happens to it."""
        return [
            f"{province.node_id} wrote {what}: see {province.node.folder.root / 'serve.log'}"
            for province in self.federation.provinces.values()
            for what in ("Traceback (most recent call last)", '"event": "defect"')
            if what in province.node.log_text
        ]

    @contextmanager
    def _stores(self) -> Iterator[dict[str, Store]]:
        with ExitStack() as stack:
            stores: dict[str, Store] = {}
            for node_id, province in self.federation.provinces.items():
                if node_id == POSTGRESQL:
                    connection = stack.enter_context(self.federation.server.connected(node_id))
                    stores[node_id] = PostgresStore(connection)
                else:
                    stores[node_id] = SqliteStore(province.data / "node.db")
                    stack.callback(stores[node_id].close)
            yield stores
