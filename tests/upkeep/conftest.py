from pathlib import Path

import pytest

from tests.federation.simulator import LEARNER, Federation, make_federation


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    made = make_federation(tmp_path, "zhejiang", "shanghai", "anhui")
    made["shanghai"].put(LEARNER, "Algebra", "Statistics")
    made["anhui"].put(LEARNER, "Chemistry")
    return made
