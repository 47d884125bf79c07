"""The baselines under load: a bare gRPC echo, and HTTP with JSON, each with the same keys and sizes."""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from google.protobuf.json_format import MessageToDict

from bench.load import CLIENTS, Target
from bench.pinned import free_address, pinned
from creditexchange.v1.exchange_pb2 import QueryRecordsResponse
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder, load_keys
from gateway.peers.node_ca import tls_name

PACKAGES = Path(__file__).parents[1] / ".bench-packages"
HTTP_PACKAGES = ("fastapi==0.165.0", "uvicorn==0.54.0", "joserfc==1.8.0", "httpx==0.28.1")
LEARNERS = 1_000
"""Learners in the HTTP service's database."""


def echo_target(
    stack: ExitStack,
    folder: Path,
    answerer: NodeFolder,
    asker: NodeFolder,
    request_bytes: int,
    answer_bytes: int,
) -> Target:
    keys = _key_folder(folder / "echo", answerer, asker)
    address = free_address()
    server = stack.enter_context(
        pinned(["-m", "bench.baselines.echo_node", address, str(keys.folder), str(answer_bytes)], address)
    )
    channel = grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(keys.server_ca, keys.client_key, keys.client_leaf),
        options=[("grpc.ssl_target_name_override", tls_name("shanghai"))],
    )
    stack.callback(channel.close)
    call = channel.unary_unary("/bench.Echo/Call")

    def prepare(count: int) -> Sequence[bytes]:
        payloads = (secrets.token_bytes(request_bytes - 64) for _ in range(count))
        return [keys.signing.sign(payload) + payload for payload in payloads]

    def check(_request: bytes, answer: bytes) -> None:
        assert len(answer) == answer_bytes

    return Target(server, prepare, lambda request: call(request, timeout=10), check)


def http_target(
    stack: ExitStack, folder: Path, answerer: NodeFolder, asker: NodeFolder, answer: bytes
) -> Target:
    install(HTTP_PACKAGES)
    sys.path.append(str(PACKAGES))
    import httpx
    from joserfc import jws
    from joserfc.jwk import OKPKey

    keys = _key_folder(folder / "http", answerer, asker)
    records = [
        MessageToDict(LearningRecord.FromString(opening.item))
        for opening in QueryRecordsResponse.FromString(answer).openings
    ]
    (keys.folder / "records.json").write_text(json.dumps(records), encoding="utf-8")
    address = free_address()
    command = ["-m", "bench.baselines.http_node", address, str(keys.folder), str(LEARNERS)]
    server = stack.enter_context(pinned(command, address, PACKAGES))
    context = ssl.create_default_context(cadata=keys.server_ca.decode())
    context.check_hostname = False
    context.load_cert_chain(keys.folder / "client.crt", keys.folder / "client.key")
    client = httpx.Client(verify=context, limits=httpx.Limits(max_connections=CLIENTS))
    stack.callback(client.close)
    signing = OKPKey.import_key((keys.folder / "client-sign.pem").read_text())
    verifying = OKPKey.import_key((keys.folder / "answer.pem").read_text())

    def prepare(count: int) -> Sequence[str]:
        queries = (
            {"message_id": str(uuid.uuid4()), "learner": f"learner-{secrets.randbelow(LEARNERS)}"}
            for _ in range(count)
        )
        return [
            jws.serialize_compact({"alg": "Ed25519"}, json.dumps(query), signing, algorithms=["Ed25519"])
            for query in queries
        ]

    def check(_request: str, response: httpx.Response) -> None:
        assert response.status_code == 200
        given = jws.deserialize_compact(response.text, verifying, algorithms=["Ed25519"])
        assert len(json.loads(given.payload)["records"]) == len(records)

    return Target(
        server, prepare, lambda request: client.post(f"https://{address}/query", content=request), check
    )


@dataclass(frozen=True)
class _Keys:
    folder: Path
    server_ca: bytes
    client_key: bytes
    client_leaf: bytes
    signing: Ed25519PrivateKey


def _key_folder(folder: Path, answerer: NodeFolder, asker: NodeFolder) -> _Keys:
    """Write the nodes' TLS keys, and new signing keys, as the baselines read them."""
    folder.mkdir()
    server, client = (load_keys(node, load_config(node.root)) for node in (answerer, asker))
    signing, answering = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    cas = [keys.tls_ca.public_bytes(Encoding.PEM) for keys in (server, client)]
    private = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files = {
        "leaf.key": server.tls_leaf_key_pem,
        "leaf.crt": server.tls_leaf_pem,
        "client.key": client.tls_leaf_key_pem,
        "client.crt": client.tls_leaf_pem,
        "cas.pem": cas[1],
        "verify.raw": signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        "verify.pem": signing.public_key().public_bytes(*public),
        "sign.pem": answering.private_bytes(*private),
        "answer.pem": answering.public_key().public_bytes(*public),
        "client-sign.pem": signing.private_bytes(*private),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return _Keys(folder, cas[0], client.tls_leaf_key_pem, client.tls_leaf_pem, signing)


def install(packages: Sequence[str]) -> None:
    """Install what only the comparison needs, beside the project's own packages."""
    if not (PACKAGES / "joserfc").is_dir():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--upgrade", "--target", str(PACKAGES), *packages],
            check=True, capture_output=True,
        )  # fmt: skip
