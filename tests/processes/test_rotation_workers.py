"""A node of several workers replaces its keys under load: every worker takes them up, and nothing is lost."""

from collections.abc import Iterator

import pytest

from gateway.clock import system_clock
from gateway.node.rotating import begin, renew_leaf_soon
from tests.postgres import fresh_database
from tests.processes.provinces import ProcessNode, cli, introduce, make_node
from tests.processes.test_rotation_story import PLANNED, SHORT, Load, key_ids, plan_text, wait_until


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    """Zhejiang, and Shanghai on PostgreSQL with two workers."""
    parent = tmp_path_factory.mktemp("rotation-workers")
    with fresh_database() as url:
        zhejiang = make_node(parent, "zhejiang")
        shanghai = make_node(parent, "shanghai", secret_from=zhejiang, database=url)
        for node in (zhejiang, shanghai):
            with node.folder.config.open("a", encoding="utf-8") as file:
                file.write(SHORT)
        introduce(zhejiang, shanghai)
        try:
            zhejiang.start()
            shanghai.start("--workers", "2")
            yield {"zhejiang": zhejiang, "shanghai": shanghai}
        finally:
            zhejiang.close()
            shanghai.close()


def test_every_worker_takes_up_every_key_and_no_exchange_is_lost(pair: dict[str, ProcessNode]) -> None:
    shanghai = pair["shanghai"]
    before = key_ids(shanghai)
    with Load(pair) as load:
        for role in PLANNED:
            begin(shanghai.folder, role, system_clock())
        renew_leaf_soon(shanghai.folder, system_clock())
        wait_until(lambda: "[[step]]" not in plan_text(shanghai))
        asked = load.outcomes.total()
        wait_until(lambda: load.outcomes.total() > asked + 30)
    assert load.outcomes == {"OK": load.outcomes.total()}, load.told[:10]
    after = key_ids(shanghai)
    for role in (*PLANNED, "tls-leaf"):
        assert len(after[role]) == 1
        assert not after[role] & before[role], role
    cli("audit", "verify", "--every-signature", "--node", str(shanghai.folder.root))
    cli("audit", "verify", "--every-signature", "--ask-peers", "--node", str(pair["zhejiang"].folder.root))
