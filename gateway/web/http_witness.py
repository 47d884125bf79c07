"""Witnesses that are no peers, reached over the C2SP tlog-witness protocol."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import urllib3
from urllib3.util import Timeout

from gateway.errors import PeerFaultError
from gateway.signing.cosignature import CosignatureVerifier
from gateway.upkeep.witnessing import CALL_S, InconsistentError, OutdatedError
from gateway.web.add_checkpoint import render_body

ANSWER_BYTES_MAX = 64 * 1024


@dataclass(frozen=True)
class HttpWitness:
    """One witness; implements :class:`gateway.upkeep.witnessing.Submission`."""

    verifier: CosignatureVerifier
    url: str
    """Submission prefix."""

    @property
    def verifiers(self) -> tuple[CosignatureVerifier, ...]:
        """See :class:`gateway.upkeep.witnessing.Submission`."""
        return (self.verifier,)

    @property
    def label(self) -> str:
        """The witness's name."""
        return self.verifier.name

    def add_checkpoint(self, old_size: int, proof: list[bytes], note: str) -> str:
        """See :class:`gateway.upkeep.witnessing.Submission`."""
        status, body = self._request("POST", "/add-checkpoint", render_body(old_size, proof, note))
        if status == 200:
            return body
        if status == 409 and body.strip().isdecimal() and len(body) < 20:
            raise OutdatedError(int(body))
        if status == 422:
            raise InconsistentError("the witness holds another history of this log.")
        raise PeerFaultError("BAD_STATUS", f"the witness {self.label} answered {status}.")

    def witnessed(self, origin: str) -> str:
        """See :class:`gateway.upkeep.witnessing.Submission`."""
        status, body = self._request("GET", f"/{sha256(origin.encode()).hexdigest()}/checkpoint", None)
        return body if status == 200 else ""

    def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, str]:
        try:
            response = _POOL.request(
                method,
                self.url.rstrip("/") + path,
                body=body,
                timeout=Timeout(total=CALL_S),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            with response:
                content = response.read(ANSWER_BYTES_MAX, decode_content=False)
                return response.status, content.decode()
        except (urllib3.exceptions.HTTPError, UnicodeDecodeError) as error:
            raise PeerFaultError("UNREACHABLE", f"the witness {self.label} does not answer.") from error


_POOL = urllib3.PoolManager(num_pools=16)
