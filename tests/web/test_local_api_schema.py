"""The local API under generated requests: whatever is sent, it answers as its document says (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.processes.provinces import DEMO_LEARNER
from tests.web.portal_federation import OWN, portal_federation, portal_of
from tests.web.test_local_api import settings as portal_settings
from tests.web.token_issuer import token_issuer

CASES = 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    with (
        portal_federation(tmp_path_factory.mktemp("schema"), running=(OWN,)) as nodes,
        token_issuer() as issuer,
        portal_of(nodes[OWN], portal_settings(issuer)) as portal,
    ):
        headers = {"Authorization": f"Bearer {issuer.application()}", "Learner-Identifier": DEMO_LEARNER}
        yield portal.url, headers


@pytest.fixture(scope="module")
def document(running: tuple[str, dict[str, str]]) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{running[0]}/openapi.json")


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_every_answer_is_one_that_the_document_tells_of(
    case: schemathesis.Case, running: tuple[str, dict[str, str]]
) -> None:
    response = case.call(headers=running[1])
    case.validate_response(response, checks=CHECKS)
    assert response.status_code != 401, Path(str(case.path)).name
