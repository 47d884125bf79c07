"""A provider of access tokens: discovery and keys over HTTP, and tokens of every kind, good and bad."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwt
from joserfc.jwk import RSAKey

from gateway.clock import system_clock

AUDIENCE = "https://archive.zhejiang.example"
APPLICATION = "provincial-app"
ALL_SCOPES = (
    "archive:read archive:export access:read consent:read consent:write code:read code:write code:redeem"
)


@dataclass
class TokenIssuer:
    """What the provider signs with, and as whom."""

    url: str
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}))

    def sign(self, claims: dict, *, typ: str = "at+jwt", key: RSAKey | None = None) -> str:
        now = int(system_clock().timestamp())
        whole = {
            "iss": self.url,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
            "scope": ALL_SCOPES,
        }
        stated = {name: value for name, value in (whole | claims).items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": "k1", "typ": typ}, stated, key or self.key)

    def application(self, **claims: object) -> str:
        return self.sign({"client_id": APPLICATION, "sub": APPLICATION} | claims)

    def learner(self, resident_id: str, **claims: object) -> str:
        return self.sign({"client_id": "phone", "sub": "someone", "resident_id": resident_id} | claims)


@contextmanager
def token_issuer() -> Iterator[TokenIssuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys = {"keys": [issuer.key.as_dict(private=False)]}
            metadata = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
            body = json.dumps(keys if self.path == "/keys" else metadata).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = TokenIssuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
