"""A real nginx with the sample configuration before a real node: TLS goes through to the node."""

import subprocess
from pathlib import Path

import grpc
import pytest

from gateway.exchange.messages import QUERY_RECORDS
from gateway.node.folder import load_keys
from gateway.peers.node_ca import tls_name
from tests.ports import free_port
from tests.processes.provinces import introduce, make_node
from tests.telemetry.faults import query_of

SAMPLE = Path(__file__).parents[2] / "deploy" / "nginx" / "credit-gateway.conf"


@pytest.fixture
def balanced(tmp_path: Path):
    """Two nodes that know each other, one of them behind nginx; the other gateway of it is gone."""
    zhejiang = make_node(tmp_path, "zhejiang", records=False)
    shanghai = make_node(tmp_path, "shanghai", secret_from=zhejiang)
    introduce(zhejiang, shanghai)
    port, gone = free_port(), free_port()
    sample = SAMPLE.read_text(encoding="utf-8")
    for old, new in (
        ("192.0.2.11:7443", f"127.0.0.1:{gone}"),
        ("192.0.2.12:7443", shanghai.config.listen.peers),
        ("192.0.2.13:7443", f"127.0.0.1:{gone}"),
        ("192.0.2.10:7443", f"127.0.0.1:{port}"),
    ):
        assert old in sample
        sample = sample.replace(old, new)
    config = tmp_path / "nginx.conf"
    config.write_text(f"daemon off;\npid {tmp_path}/nginx.pid;\n{sample}", encoding="utf-8")
    process = subprocess.Popen(["nginx", "-e", str(tmp_path / "error.log"), "-c", str(config)])
    try:
        shanghai.start()
        yield zhejiang, shanghai, f"127.0.0.1:{port}"
    finally:
        shanghai.close()
        zhejiang.close()
        process.terminate()
        process.wait(timeout=20)


def test_queries_reach_the_node_through_the_balancer(balanced) -> None:
    zhejiang, shanghai, address = balanced
    keys = load_keys(zhejiang.folder, zhejiang.config)
    credentials = grpc.ssl_channel_credentials(shanghai.card.ca_pem, keys.tls_leaf_key_pem, keys.tls_leaf_pem)
    options = [("grpc.ssl_target_name_override", tls_name("shanghai")), ("grpc.enable_retries", 0)]
    with grpc.secure_channel(address, credentials, options=options) as channel:
        for _ in range(3):
            answer = channel.unary_unary(QUERY_RECORDS)(
                query_of(zhejiang, shanghai), timeout=20, wait_for_ready=True
            )
            assert len(answer) > 1_000


def test_a_stranger_is_refused_behind_the_balancer_too(balanced, tmp_path: Path) -> None:
    _, shanghai, address = balanced
    stranger = make_node(tmp_path, "anhui", secret_from=shanghai, records=False)
    keys = load_keys(stranger.folder, stranger.config)
    credentials = grpc.ssl_channel_credentials(shanghai.card.ca_pem, keys.tls_leaf_key_pem, keys.tls_leaf_pem)
    options = [("grpc.ssl_target_name_override", tls_name("shanghai")), ("grpc.enable_retries", 0)]
    with grpc.secure_channel(address, credentials, options=options) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(QUERY_RECORDS)(query_of(stranger, shanghai), timeout=5)
