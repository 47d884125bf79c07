"""Every error the gateway raises on purpose, grouped by who has to act.

::

    GatewayError
    ├── RefusedError          the calling peer: its request is refused for a stated reason
    ├── EnvelopeError         whoever signed: a signed message is malformed or does not verify
    ├── NoteError, ProofError, EntryError, EvidenceError, TileError, BundleError
    │                         signed notes, Merkle proofs, audit leaves, evidence, exports (beside
    │                         their code)
    ├── PeerFaultError        the other peer: what it sent back cannot be accepted
    ├── CallerError           the local caller: an argument is wrong
    └── OperatorError         the operator: something on this machine is wrong
        ├── ConfigError       a configuration file
        ├── KeyFileError      a key or secret file
        ├── HsmError          a key in a hardware module
        ├── SuiteUnavailableError  a signature suite that this machine cannot compute
        ├── CardError         a node card
        ├── SchemeError       a credit scheme; carries every problem that was found
        ├── IntakeError       a file of records
        ├── ExportUnavailableError  what an export needs is not installed
        ├── StorageError      a database
        │   └── AuditLogError the audit log does not agree with itself
        └── AlreadyRunningError  another process serves this node, or the port is taken

Libraries' exceptions are turned into these at the module that calls the library, and into gRPC
statuses or exit codes at one place each (``gateway.rpc.status``, ``gateway.cli.main``). A message
never holds a secret or anything about a learner; ``remedy`` says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class GatewayError(Exception):
    """Root of all errors the gateway raises on purpose."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Message and remedy, for people."""
        return f"{self.message} {self.remedy}".rstrip()


class RefusedError(GatewayError):
    """A peer's request is refused.

    ``reason`` is the name of a ``creditexchange.v1.Reason`` without its prefix, ``details`` the
    metadata documented there, ``retry_after_s`` when it makes sense to come back.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        details: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s

    def again(self) -> RefusedError:
        """Return the same refusal for another caller: two threads cannot raise one error."""
        refused = RefusedError(
            self.reason, self.message, details=self.details, retry_after_s=self.retry_after_s
        )
        refused.__cause__ = self
        return refused


class EnvelopeError(GatewayError):
    """A signed message is malformed or does not verify.

    ``reason`` is ``MALFORMED_MESSAGE``, ``WRONG_PAYLOAD_TYPE``, ``UNKNOWN_KEY`` or
    ``INVALID_SIGNATURE``. The answering side turns it into a refusal, the asking side into the
    peer's fault.
    """

    def __init__(self, reason: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = details

    def refusal(self) -> RefusedError:
        """Return what the answering side says of it."""
        return RefusedError(self.reason, self.message, details=self.details)


class PeerFaultError(GatewayError):
    """A peer's answer cannot be accepted, or none came.

    ``outcome`` is a stable word: a ``Reason`` the peer stated or one of the asking side's own
    outcomes (docs/protocol.md, "Outcomes at the asking side").
    """

    def __init__(self, outcome: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.outcome = outcome


class CallerError(GatewayError):
    """A local caller's argument is wrong: a flag, an identifier, an unknown peer."""


class OperatorError(GatewayError):
    """Something on this machine keeps the node from working."""


class ConfigError(OperatorError):
    """A configuration file is missing, malformed or contradicts itself."""


class KeyFileError(OperatorError):
    """A key or secret file is missing, unreadable, readable by others or of the wrong kind."""


class HsmError(OperatorError):
    """A hardware module, its token or a key in it cannot be used."""


class SuiteUnavailableError(OperatorError):
    """This machine lacks the library that a signature suite needs, or the library lacks the suite."""


class CardError(OperatorError):
    """A node card is malformed, not signed by its own key, expired or older than the accepted one."""


class IntakeError(OperatorError):
    """A file of records was refused as a whole; nothing of it was kept."""


class ExportUnavailableError(OperatorError):
    """A form of export needs a library or a font that this machine does not have."""


class StorageError(OperatorError):
    """A database cannot be opened, read or written."""


class AuditLogError(StorageError):
    """The audit log does not agree with itself: it was altered outside the gateway."""


class AlreadyRunningError(OperatorError):
    """Another process serves this node, or its port is taken."""


@dataclass(frozen=True, slots=True)
class SchemeProblem:
    """One thing wrong in a scheme file: where (table, key, 1-based line; 0 = unknown) and what."""

    table: str
    key: str
    line: int
    text: str


class SchemeError(OperatorError):
    """A scheme is rejected; ``problems`` lists everything that was found in one run."""

    def __init__(self, path: str, problems: Sequence[SchemeProblem]) -> None:
        lines = [f"{path}:{p.line}: [{p.table}] {p.key}: {p.text}" for p in problems]
        super().__init__("\n".join(lines) or f"{path}: not a scheme")
        self.path = path
        self.problems = tuple(problems)
