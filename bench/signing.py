"""Signatures: sign and verify per second of each suite, one core, messages of 600 bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gateway.signing.suites import SUITES, SigningKey

MESSAGE = bytes(600)
THREADS = 2


def measure_signing(seconds: float) -> dict[str, dict[str, float]]:
    """Return rates by suite; each figure is taken over ``seconds``."""
    measured = {}
    for suite in SUITES:
        key = SigningKey.generate(suite)
        signature, verifying = key.sign(MESSAGE), key.verifying
        measured[suite.name] = {
            "sign_per_second": _rate(lambda key=key: key.sign(MESSAGE), seconds),
            "sign_per_second_2_threads": _threaded(lambda key=key: key.sign(MESSAGE), seconds),
            "verify_per_second": _rate(
                lambda verifying=verifying, signature=signature: verifying.verify(signature, MESSAGE), seconds
            ),
            "signature_bytes": len(signature),
            "public_key_bytes": len(verifying.spki),
        }
    return measured


def _rate(act: Callable[[], object], seconds: float) -> float:
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(20):
            act()
        done += 20
    return round(done / (time.perf_counter() - start))


def _threaded(act: Callable[[], object], seconds: float) -> float:
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(lambda _: _rate(act, seconds), range(THREADS)))
