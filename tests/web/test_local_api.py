"""The local API over real processes: what applications do, what attackers try, what its document says."""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.clock import system_clock
from gateway.learners.identifier import check_character
from gateway.web.archive_api.operations import SCOPE_OF
from gateway.web.archive_api.problems import TITLES
from tests.processes.provinces import DEMO_LEARNER
from tests.web.portal_federation import AWAY, OWN, RunningPortal, portal_federation, portal_of
from tests.web.token_issuer import APPLICATION, AUDIENCE, TokenIssuer, token_issuer

OTHER_LEARNER = f"99000119900101124{check_character('99000119900101124')}"
WANTED = {"purpose": "employment", "legal_basis": "statutory-duty"}
CODE = {"purpose": "employment", "kinds": ["training"]}


@dataclass
class Api:
    portal: RunningPortal
    issuer: TokenIssuer

    def app(self, learner: str = DEMO_LEARNER, **claims: object) -> httpx2.Client:
        return self.portal.client(self.issuer.application(**claims), learner)

    def learner(self, learner: str = DEMO_LEARNER, **claims: object) -> httpx2.Client:
        return self.portal.client(self.issuer.learner(learner, **claims))


def settings(issuer: TokenIssuer) -> str:
    return (
        f'[portal.tokens]\nissuer = "{issuer.url}"\naudience = "{AUDIENCE}"\n'
        f'applications = ["{APPLICATION}"]\n'
    )


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with (
        portal_federation(tmp_path_factory.mktemp("api")) as nodes,
        token_issuer() as issuer,
        portal_of(nodes[OWN], settings(issuer)) as portal,
    ):
        yield Api(portal, issuer)


def problem(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    told = response.json()
    assert told["status"] == response.status_code
    assert DEMO_LEARNER not in response.text
    assert OTHER_LEARNER not in response.text
    return response.status_code, told["type"].rpartition(":")[2]


def test_a_search_streams_what_each_node_gave_and_names_the_one_that_is_away(api: Api) -> None:
    with api.app() as app:
        begun = app.post("/v1/searches", json=WANTED | {"own_records": True})
        assert begun.status_code == 201
        place = begun.headers["location"]
        lines = [json.loads(line) for line in app.get(f"{place}/events").text.splitlines()]
        given = {line["peer"]["node"]: line["peer"]["outcome"] for line in lines[:-1]}
        assert given == {OWN: "OK", "anhui": "OK", "shanghai": "OK", AWAY: "UNREACHABLE"}
        assert lines[-1]["search"]["state"] == "done"
        seen = app.get(place)
        tag = seen.headers["etag"]
        assert app.get(place, headers={"If-None-Match": tag}).status_code == 304
        assert seen.json()["record_count"] == sum(len(line["records"]) for line in lines[:-1])
        found, cursor = [], ""
        while cursor is not None:
            page = app.get(f"{place}/records", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))
            found += page.json()["records"]
            cursor = page.json()["next_cursor"]
        assert len(found) == seen.json()["record_count"]
        one = app.get(f"{place}/records/anhui/AH1002")
        assert one.json()["signed_by"]
        assert one.json()["trace"]["local"]
        events = app.get(f"{place}/events", headers={"Accept": "text/event-stream"})
        assert events.headers["content-type"].startswith("text/event-stream")
        assert events.text.startswith("event: part\ndata: {")
        assert app.delete(place).status_code == 204
        assert problem(app.get(place)) == (404, "not-found")


def test_consent_code_redemption_and_who_asked(api: Api) -> None:
    until = (system_clock() + timedelta(days=2)).isoformat()
    with api.learner() as phone:
        body = {"asker": OWN, "organisation": "Example Employer", "until": until} | CODE
        given = phone.post("/v1/consents", json=body).json()
        listed = phone.get("/v1/consents").json()["consents"]
        assert (given["id"], "live") in {(each["id"], each["state"]) for each in listed}
        assert phone.delete(f"/v1/consents/{given['id']}").status_code == 200
        listed = phone.get("/v1/consents").json()["consents"]
        assert (given["id"], "revoked") in {(each["id"], each["state"]) for each in listed}
        made = phone.post("/v1/codes", json=CODE).json()
        taken_back = phone.post("/v1/codes", json=CODE).json()
        assert phone.delete(f"/v1/codes/{taken_back['id']}").status_code == 204
    with api.portal.client(api.issuer.application()) as app:
        refused = app.post("/v1/codes/redemptions", json={"code": taken_back["code"], "organisation": "E"})
        assert problem(refused) == (422, "code-refused")
        redeemed = app.post("/v1/codes/redemptions", json={"code": made["code"], "organisation": "E"})
        assert redeemed.status_code == 201, redeemed.text
        wanted = {
            "purpose": "employment",
            "kinds": ["training"],
            "consent": redeemed.json()["consent"],
            "peers": ["anhui"],
        }
        place = app.post("/v1/searches", json=wanted).headers["location"]
        lines = app.get(f"{place}/events").text.splitlines()
        assert json.loads(lines[0])["records"][0]["record_id"] == "AH1001"
    with api.learner() as phone:
        seen = phone.get("/v1/accesses").json()["accesses"]
        asked = [(each["asker"], each["answerer"], each["purpose"], each["outcome"]) for each in seen]
        assert (OWN, "anhui", "employment", "OK") in asked
        assert {"code-issue", "consent-grant"} <= {each["action"] for each in seen}


def test_an_archive_is_taken_away_as_a_signed_document(api: Api) -> None:
    with api.app() as app:
        made = app.post("/v1/exports", json=WANTED | {"format": "clr"})
        assert made.headers["content-type"] == "application/vc"
        assert made.json()["issuer"]["id"].startswith("did:web:")
        assert problem(app.post("/v1/exports", json=WANTED | {"format": "vc"})) == (422, "invalid-argument")


def test_a_key_does_a_thing_once_and_nobody_else_gets_its_answer(api: Api) -> None:
    key = {"Idempotency-Key": secrets.token_urlsafe(24)}
    with api.app() as app:
        first, again = (app.post("/v1/codes", json=CODE, headers=key) for _ in range(2))
        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        assert again.headers["idempotency-replayed"] == "true"
        assert problem(app.post("/v1/codes", json=CODE | {"minutes": 3}, headers=key)) == (
            422,
            "idempotency-key-reused",
        )
        short = app.post("/v1/codes", json=CODE, headers={"Idempotency-Key": "short"})
        assert problem(short) == (422, "invalid-argument")
    with api.learner() as other:
        stolen = other.post("/v1/codes", json=CODE, headers=key)
        assert stolen.json()["code"] != first.json()["code"]
    stored = (api.portal.node.folder.root / "data" / "node.db").read_bytes()
    wal = api.portal.node.folder.root / "data" / "node.db-wal"
    stored += wal.read_bytes() if wal.exists() else b""
    assert first.json()["code"].encode() not in stored


def signed_with_shared_key(header: dict, claims: dict, key: bytes) -> str:
    """A token under HMAC, as an attacker makes one: libraries refuse to."""
    parts = (urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (header, claims))
    text = b".".join(parts)
    return (text + b"." + urlsafe_b64encode(hmac.digest(key, text, "sha256")).rstrip(b"=")).decode()


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_tokens_that_are_not_for_this_api_are_refused(api: Api) -> None:
    issuer, good = api.issuer, {"client_id": APPLICATION, "sub": APPLICATION}
    public = issuer.key.as_pem(private=False)
    claims = good | {"iss": issuer.url, "aud": AUDIENCE, "iat": 1, "exp": 9_999_999_999, "jti": "j"}
    header = {"kid": "k1", "typ": "at+jwt"}
    bad = {
        "another issuer": issuer.sign(good | {"iss": "https://evil.example"}),
        "another audience": issuer.sign(good | {"aud": "other"}),
        "expired": issuer.sign(good | {"exp": 1_000_000_000}),
        "without expiry": issuer.sign(good | {"exp": None}),
        "without client": issuer.sign(good | {"client_id": None}),
        "an ID token": issuer.sign(good, typ="JWT"),
        "another key": issuer.sign(good, key=RSAKey.generate_key(2048, {"kid": "k1"})),
        "not signed": jwt.encode(
            header | {"alg": "none"}, claims, OctKey.generate_key(256), algorithms=["none"]
        ),
        "public key as a shared one": signed_with_shared_key(header | {"alg": "HS256"}, claims, public),
        "no token at all": "x.y.z",
        "too long": "x" * 9_000,
    }
    for name, token in bad.items():
        with api.portal.client(token, DEMO_LEARNER) as client:
            assert problem(client.get("/v1/codes")) == (401, "token-invalid"), name
    with api.portal.client() as nobody:
        answer = nobody.get("/v1/codes")
        assert problem(answer) == (401, "token-missing")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_each_operation_needs_its_scope(api: Api) -> None:
    document = httpx2.get(f"{api.portal.url}/openapi.json", trust_env=False).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = SCOPE_OF[operation["operationId"]]
            others = " ".join(scope for scope in SCOPE_OF.values() if scope != needed)
            at = path.format(
                search_id="x", source="s", record_id="r", consent_id="0" * 32, code_id="ABCDEFGH"
            )
            bodies = {
                "/v1/searches": {},
                "/v1/consents": {"asker": OWN, "organisation": "E", "until": "2027-01-01T00:00:00Z"} | CODE,
                "/v1/codes": CODE,
                "/v1/codes/redemptions": {"code": "ZX1ABCDEFGH"},
                "/v1/exports": {"format": "json"},
            }
            body = {"json": bodies[path]} if method == "post" else {}
            with api.app(scope=others) as app:
                answer = app.request(method, at, **body)
            assert problem(answer) == (403, "scope-missing"), (method, path)
            assert f'scope="{needed}"' in answer.headers["www-authenticate"]


def test_a_learner_reaches_nobody_else_and_no_other_caller_reaches_a_search(api: Api) -> None:
    with api.app() as app:
        consent = app.post(
            "/v1/consents",
            json={"asker": OWN, "organisation": "E", "until": (system_clock() + timedelta(1)).isoformat()}
            | CODE,
        ).json()["id"]
        code = app.post("/v1/codes", json=CODE).json()["id"]
        place = app.post("/v1/searches", json=WANTED | {"peers": ["anhui"]}).headers["location"]
        app.get(f"{place}/events")
    with api.learner(OTHER_LEARNER) as thief:
        assert consent not in thief.get("/v1/consents").text
        assert problem(thief.delete(f"/v1/consents/{consent}")) == (404, "not-found")
        assert problem(thief.delete(f"/v1/codes/{code}")) == (404, "not-found")
        for path in (place, f"{place}/records", f"{place}/events", f"{place}/records/anhui/AH1002"):
            assert problem(thief.get(path)) == (404, "not-found")
        assert problem(thief.delete(place)) == (404, "not-found")
        victim = {"Learner-Identifier": DEMO_LEARNER}
        for path in ("/v1/consents", "/v1/codes", "/v1/accesses"):
            assert problem(thief.get(path, headers=victim)) == (403, "learner-not-allowed")
        for path, body in (("/v1/searches", {}), ("/v1/codes", CODE), ("/v1/exports", {"format": "json"})):
            assert problem(thief.post(path, json=body, headers=victim)) == (403, "learner-not-allowed")
        assert problem(thief.post("/v1/searches", json=WANTED)) == (403, "learner-not-allowed")
        assert DEMO_LEARNER not in thief.get("/v1/accesses").text
    with api.portal.client(
        api.issuer.sign({"client_id": "stranger", "sub": "stranger"}), DEMO_LEARNER
    ) as app:
        assert problem(app.get("/v1/codes")) == (403, "learner-not-allowed")
    with api.portal.client(
        api.issuer.sign({"client_id": APPLICATION, "sub": "a person"}), DEMO_LEARNER
    ) as app:
        assert problem(app.get("/v1/codes")) == (403, "learner-not-allowed")
    with api.app() as app:
        state = [one["state"] for one in app.get("/v1/consents").json()["consents"] if one["id"] == consent]
        assert state == ["live"]


def test_wrong_requests_are_problems_that_name_the_place(api: Api) -> None:
    with api.app() as app:
        wrong = app.post("/v1/codes", json=CODE | {"minutes": 0, "colour": "red"})
        assert problem(wrong) == (422, "invalid-argument")
        assert {each["pointer"] for each in wrong.json()["errors"]} == {"/body/minutes", "/body/colour"}
        assert problem(app.post("/v1/codes", content=b"{", headers={"Content-Type": "application/json"})) == (
            400,
            "malformed-request",
        )
        assert problem(app.post("/v1/codes", content=b"x" * 200_000)) == (413, "body-too-large")
        chunks = (b"x" for _ in range(3))
        assert problem(app.post("/v1/codes", content=chunks)) == (400, "malformed-request")
        assert problem(app.put("/v1/codes", json={})) == (405, "method-not-allowed")
        assert problem(app.get("/v1/codes", params={"cursor": "AAAA"})) == (422, "invalid-argument")
        assert problem(app.post("/v1/searches", json={"peers": ["nowhere"]})) == (422, "invalid-argument")
    with api.app("11010519491231002Y") as app:
        assert problem(app.get("/v1/codes")) == (422, "invalid-argument")


def test_the_document_is_openapi_and_knows_every_problem(api: Api) -> None:
    document = httpx2.get(f"{api.portal.url}/openapi.json", trust_env=False).json()
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    used = {each["operationId"] for path in document["paths"].values() for each in path.values()}
    assert used == set(SCOPE_OF)
    text = (Path(__file__).parents[2] / "docs" / "local-api.md").read_text(encoding="utf-8")
    assert [name for name in TITLES if f"`{name}`" not in text] == []
    assert [name for name in set(SCOPE_OF.values()) if f"`{name}`" not in text] == []
