"""The local API under generated requests: whatever is sent, it answers as its document says (schemathesis)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.web.archive_api.operations import SCOPE_OF
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


def test_every_answer_is_one_that_the_document_tells_of(running: tuple[str, dict[str, str]]) -> None:
    url, headers = running
    seen: Counter[int] = Counter()
    names = set()
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        operation = found.ok()
        names.add(operation.label)

        @given(case=operation.as_strategy())
        @settings(
            max_examples=CASES,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        def answers_as_told(case: schemathesis.Case) -> None:
            response = case.call(headers=headers)
            seen[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        answers_as_told()
    assert len(names) == len(SCOPE_OF)
    assert not {401, 403, 500} & set(seen), seen
    assert seen[200] + seen[201] > len(names), seen
