"""The checker sees what it must see: each lie of a log or a client is found, and an honest run is not blamed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest

from creditexchange.v1.exchange_pb2 import QueryRecordsRequest, QueryRecordsResponse
from gateway.exchange.answering.answer import answer_query
from tests.audit.drafts import as_attacker
from tests.chaos.acknowledged import Answered, Ledger, Told
from tests.chaos.checker import Checker, Log
from tests.chaos.reading import SqliteStore, Tree, WrongError, leaf_hash, root_by_proof
from tests.federation.provinces import NOW
from tests.federation.simulator import LEARNER, Federation, draft, incoming, make_federation

ROOTS = (
    # Roots of the first sizes over the leaves of certificate-transparency-go's test data (RFC 6962).
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
)


def test_roots_are_those_of_published_vectors() -> None:
    tree = Tree()
    for leaf, root in ROOTS:
        tree.grow([leaf_hash(bytes.fromhex(leaf))])
        assert tree.root().hex() == root
    assert tree.root(3).hex() == ROOTS[2][1]


def test_a_proof_leads_to_the_root_and_no_other_proof_does() -> None:
    tree = Tree()
    tree.grow([leaf_hash(bytes.fromhex(leaf)) for leaf, _ in ROOTS])
    siblings = [tree.leaves[4], sha256(b"\x01" + tree.leaves[6] + tree.leaves[7]).digest(), tree.root(4)]
    assert root_by_proof(tree.leaves[5], 5, 8, siblings) == tree.root()
    assert root_by_proof(tree.leaves[4], 5, 8, siblings) != tree.root()
    for wrong in (siblings[:2], [*siblings, siblings[0]]):
        with pytest.raises(WrongError):
            root_by_proof(tree.leaves[5], 5, 8, wrong)


@dataclass
class World:
    """Zhejiang asks Shanghai, and so does Anhui, which keeps no log; what both were told."""

    federation: Federation
    folder: Path
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        cards = [self.federation[node_id].province.card() for node_id in ("zhejiang", "shanghai")]
        self.checker = Checker({card.node_id: Log.of(card) for card in cards}, "anhui")

    def file(self, node_id: str) -> Path:
        return self.federation[node_id].database

    def ask(self) -> None:
        (result,) = self.federation["zhejiang"].ask("shanghai").peers
        assert result.outcome == "OK"
        self.ledger.note_told(
            Told("zhejiang", "shanghai", result.exchange_id, len(result.records), result.leaf_index)
        )

    def write(self) -> bytes:
        """Anhui asks by a message of its own; returns it."""
        query = draft("anhui", "shanghai", NOW)
        request = query.signed(self.federation["anhui"].province)
        self.send(request, query.query.header.exchange_id, query.query.header.message_id)
        return request

    def send(self, request: bytes, exchange_id: bytes, message_id: bytes) -> None:
        shanghai = self.federation["shanghai"]
        self.ledger.note_sent(exchange_id)
        response = answer_query(request, incoming(shanghai, "anhui"), shanghai.snapshot, shanghai.answering)
        signed = QueryRecordsRequest.FromString(request).message.SerializeToString()
        self.ledger.note_answered(Answered("anhui", "shanghai", exchange_id, message_id, signed, response))

    def check(self, *, again: bool = False) -> list[str]:
        stores = {node_id: SqliteStore(self.file(node_id)) for node_id in ("zhejiang", "shanghai")}
        try:
            return self.checker.check(stores, self.ledger, again=again)
        finally:
            for store in stores.values():
                store.close()

    def tamper(self, node_id: str, statement: str, *values: object) -> None:
        with as_attacker(self.file(node_id)) as connection:
            connection.execute(statement, values)
        connection.close()

    def leaf(self, node_id: str, index: int) -> bytes:
        with closing(sqlite3.connect(self.file(node_id))) as connection:
            return connection.execute("SELECT leaf FROM audit_entry WHERE idx = ?", [index]).fetchone()[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    federation = make_federation(tmp_path, "zhejiang", "shanghai", "anhui")
    federation["shanghai"].put(LEARNER, "calculus", "welding")
    made = World(federation, tmp_path)
    for _ in range(3):
        made.ask()
        made.write()
    yield made
    for node in federation.nodes.values():
        node.log.close()
        node.log._database.dispose()


def test_an_honest_run_is_not_blamed(world: World) -> None:
    assert world.check() == []
    world.ask()
    assert world.check(again=True) == []


def _lose_the_newest(world: World) -> None:
    """The log goes back to a copy: it agrees with itself, and lacks what was acknowledged since."""
    copy = world.federation["shanghai"].copy_log("old.db")
    world.ask()
    world.federation["shanghai"].open_log(copy)


def _go_on_from_an_old_copy(world: World) -> None:
    copy = world.federation["shanghai"].copy_log("old.db")
    world.write()
    world.federation["shanghai"].open_log(copy)
    world.write()


def _change_a_leaf(world: World) -> None:
    leaf = world.leaf("shanghai", 2).replace(b'"count":2', b'"count":1')
    world.tamper(
        "shanghai", "UPDATE audit_entry SET leaf = ?, leaf_hash = ? WHERE idx = 2", leaf, leaf_hash(leaf)
    )


def _remove_an_entry(world: World) -> None:
    world.tamper("shanghai", "DELETE FROM audit_entry WHERE idx = 3")


def _forget_in_the_askers_log(world: World) -> None:
    world.tamper("zhejiang", "DELETE FROM audit_entry WHERE idx = 2")


def _answer_a_message_twice(world: World) -> None:
    request = world.write()
    world.tamper("shanghai", "DELETE FROM seen_message")
    answered = world.ledger.answered[-1]
    world.send(request, answered.exchange_id, answered.message_id)


def _answer_what_nobody_asked(world: World) -> None:
    world.ledger.sent.clear()


def _tell_another_count(world: World) -> None:
    world.ledger.told[0] = replace(world.ledger.told[0], record_count=7)


def _tell_another_place(world: World) -> None:
    world.ledger.told[0] = replace(world.ledger.told[0], leaf_index=1)


def _forge_an_answer(world: World) -> None:
    response = QueryRecordsResponse.FromString(world.ledger.answered[0].response)
    response.message.payload = response.message.payload[:-1] + b"\x00"
    world.ledger.answered[0] = replace(world.ledger.answered[0], response=response.SerializeToString())


def _swap_answers(world: World) -> None:
    one, other, *rest = world.ledger.answered
    world.ledger.answered[:] = [replace(one, response=other.response), other, *rest]


def _sign_another_head(world: World) -> None:
    world.tamper(
        "shanghai",
        "UPDATE audit_checkpoint SET note = (SELECT note FROM audit_checkpoint WHERE size = 3) WHERE size = 2",
    )


def _see_a_defect(world: World) -> None:
    world.ledger.note_defect("shanghai answered INTERNAL")


LIES: tuple[tuple[Callable[[World], None], str], ...] = (
    (_lose_the_newest, "log lacks it"),
    (_go_on_from_an_old_copy, "that is not its log|says entry|lacks it"),
    (_change_a_leaf, "the tree row says"),
    (_remove_an_entry, "entry 3 is missing"),
    (_forget_in_the_askers_log, "stands 0 times in the asker's log"),
    (_answer_a_message_twice, "answered twice"),
    (_answer_what_nobody_asked, "more answers than messages"),
    (_tell_another_count, "gave 7 records"),
    (_tell_another_place, "stands elsewhere"),
    (_forge_an_answer, "does not verify"),
    (_swap_answers, "to another message"),
    (_sign_another_head, "the checkpoint of 2 entries says 3"),
    (_see_a_defect, "INTERNAL"),
)


@pytest.mark.parametrize(("lie", "found"), LIES, ids=[lie.__name__.strip("_") for lie, _ in LIES])
def test_a_lie_is_found(world: World, lie: Callable[[World], None], found: str) -> None:
    lie(world)
    wrong = world.check()
    assert any(part in what for what in wrong for part in found.split("|")), wrong


def test_what_was_read_once_may_not_change_later(world: World) -> None:
    assert world.check() == []
    leaf = json.dumps(json.loads(world.leaf("shanghai", 1)) | {"count": 9}).encode()
    world.tamper("shanghai", "UPDATE audit_entry SET leaf = ? WHERE idx = 1", leaf)
    assert world.check(again=True) == ["shanghai: entry 1 was changed or is gone"]
