"""The ceiling: a bare grpcio echo over the same mutual TLS, with one Ed25519 verify and one sign.

Usage: python -m bench.baselines.echo_node ADDRESS FOLDER ANSWER_BYTES, where FOLDER holds ``leaf.pem``
(key and certificate), ``cas.pem``, ``verify.raw`` (the asker's public key) and ``sign.pem``.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

THREADS = 16
SIGNATURE_BYTES = 64


def main() -> None:
    """Serve until killed."""
    address, folder, answer_bytes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    verifying = Ed25519PublicKey.from_public_bytes((folder / "verify.raw").read_bytes())
    signing = load_pem_private_key((folder / "sign.pem").read_bytes(), None)
    assert isinstance(signing, Ed25519PrivateKey)
    rest = bytes(answer_bytes - SIGNATURE_BYTES)

    def answer(request: bytes, _context: grpc.ServicerContext) -> bytes:
        verifying.verify(request[:SIGNATURE_BYTES], request[SIGNATURE_BYTES:])
        return signing.sign(rest) + rest

    server = grpc.server(ThreadPoolExecutor(THREADS), options=[("grpc.so_reuseport", 0)])
    handlers = {"Call": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    credentials = grpc.ssl_server_credentials(
        [((folder / "leaf.key").read_bytes(), (folder / "leaf.crt").read_bytes())],
        (folder / "cas.pem").read_bytes(),
        require_client_auth=True,
    )
    server.add_secure_port(address, credentials)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
