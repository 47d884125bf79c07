"""Why a record is rejected before it is translated."""

from __future__ import annotations

from gateway.errors import GatewayError


class UntranslatableError(GatewayError):
    """A record must be rejected: ``column`` holds something that can only be a mistake."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason
