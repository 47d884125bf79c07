from collections.abc import Iterator

import pytest

from tests.softhsm import EDWARDS25519, P256, SM2_CURVE, SoftHsm, soft_hsm


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    with soft_hsm(tmp_path_factory.mktemp("softhsm")) as made:
        made.make_pair("message", EDWARDS25519)
        for label in ("log", "witness", "second"):
            made.make_pair(label, P256)
        made.make_pair("sm2", SM2_CURVE)
        for _ in range(2):
            made.make_pair("twins", P256)
        yield made
