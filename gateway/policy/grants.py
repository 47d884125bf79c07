"""Grants: which peer may ask for which kinds of record, for which purpose (``access.toml``).

Absent or empty lists mean nobody and nothing, never everybody.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT
from gateway.errors import ConfigError, RefusedError
from gateway.policy.purposes import KINDS, PURPOSES, kind_word, purpose_word
from gateway.policy.quotas import TIME_ZONE, DayEntry, Quota, QuotaEntry

CALLS_PER_SECOND_DEFAULT = 500


def _one_of(known: Mapping[str, int], what: str) -> AfterValidator:
    def check(word: str) -> str:
        if word not in known:
            raise ValueError(f"unknown {what} {word!r}; use one of: {', '.join(known)}")
        return word

    return AfterValidator(check)


class GrantEntry(BaseModel):
    """``[[grant]]``: what one peer may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    peer: str
    """Node id of the peer."""
    purposes: tuple[Annotated[str, _one_of(PURPOSES, "purpose")], ...]
    """For which purposes; an empty list grants nothing."""
    kinds: tuple[Annotated[str, _one_of(KINDS, "kind")], ...]
    """Which kinds of record; an empty list grants nothing."""
    consent_required: bool = True
    """Whether every query must carry the learner's consent. When false, statutory_basis is needed."""
    statutory_basis: str = ""
    """The statute or agreement under which no consent is asked for."""


class RateEntry(BaseModel):
    """``[[rate]]``: how often one peer may call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    peer: str
    """Node id of the peer."""
    calls_per_second: int = Field(ge=1, le=100_000)
    """Calls a second, averaged over one second."""


class ConsentEntry(BaseModel):
    """``[consent]``: whose consents are accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuers: tuple[str, ...] = ()
    """Node ids of peers whose consents are accepted beside this node's own and the asking node's own.
    Each of them can then let any peer that holds a grant ask about any learner."""


class AccessFile(BaseModel):
    """``access.toml``: who may ask this node for what. Nothing is granted that is not written here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grant: tuple[GrantEntry, ...] = ()
    """What each peer may ask for."""
    rate: tuple[RateEntry, ...] = ()
    """How often each peer may call; 500 calls a second when none is given."""
    consent: ConsentEntry = ConsentEntry()
    """Whose consents are accepted."""
    quota: tuple[QuotaEntry, ...] = ()
    """About how many learners each peer is answered in one day; without bound when none is given."""
    day: DayEntry = DayEntry()
    """When the day of the quotas begins."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant, compiled."""

    kinds: frozenset[int]
    consent_required: bool
    statutory_basis: str
    number: int = 0
    """Which ``[[grant]]`` of the file it is, from 0."""


@dataclass(frozen=True)
class Access:
    """All grants and rates at one moment."""

    grants: Mapping[tuple[str, int], tuple[Grant, ...]]
    """By peer and purpose."""
    rates: Mapping[str, int]
    """Calls a second, by peer."""
    consent_issuers: frozenset[str] = frozenset()
    """Whose consents are accepted beside this node's own and the asker's own."""
    quotas: Mapping[str, tuple[Quota, ...]] = field(default_factory=dict)
    """By peer."""
    time_zone: str = TIME_ZONE
    """Whose midnight begins a day of the quotas."""
    rate_numbers: Mapping[str, int] = field(default_factory=dict)
    """Which ``[[rate]]`` of the file holds for each peer, from 0."""

    @classmethod
    def of(cls, file: AccessFile) -> Access:
        """Compile a validated file."""
        grants: dict[tuple[str, int], tuple[Grant, ...]] = {}
        for number, entry in enumerate(file.grant):
            kinds = frozenset(KINDS[word] for word in entry.kinds)
            grant = Grant(kinds, entry.consent_required, entry.statutory_basis, number)
            for word in entry.purposes:
                place = (entry.peer, PURPOSES[word])
                grants[place] = (*grants.get(place, ()), grant)
        rates = {entry.peer: entry.calls_per_second for entry in file.rate}
        quotas: dict[str, tuple[Quota, ...]] = {}
        for number, limit in enumerate(file.quota):
            quota = Quota(frozenset(limit.purposes or ()), limit.learners_per_day, number)
            quotas[limit.peer] = (*quotas.get(limit.peer, ()), quota)
        return cls(
            MappingProxyType(grants),
            MappingProxyType(rates),
            frozenset(file.consent.issuers),
            MappingProxyType(quotas),
            file.day.time_zone,
            MappingProxyType({entry.peer: number for number, entry in enumerate(file.rate)}),
        )

    def of_peer(self, peer: str) -> list[tuple[int, Grant]]:
        """Return the peer's grants with their purposes, in the order of purposes."""
        found = [
            (purpose, g) for (who, purpose), grants in self.grants.items() if who == peer for g in grants
        ]
        return sorted(found, key=lambda item: item[0])

    def calls_per_second(self, peer: str) -> int:
        """Return how often ``peer`` may call."""
        return self.rates.get(peer, CALLS_PER_SECOND_DEFAULT)

    def require_grant(
        self, peer: str, purpose: int, kinds: Sequence[int], *, legal_basis: int, has_consent: bool
    ) -> None:
        """Return if ``peer`` may ask for every one of ``kinds`` for ``purpose``.

        Whether the consent that was sent covers the query is for
        :func:`gateway.policy.consent.verify_consent` to say.

        Raises:
            RefusedError: ``PURPOSE_NOT_GRANTED``, ``KIND_NOT_GRANTED`` or ``CONSENT_REQUIRED``.
        """
        grants = self.grants.get((peer, purpose), ())
        if not any(grant.kinds for grant in grants):
            raise RefusedError(
                "PURPOSE_NOT_GRANTED",
                "this purpose is not granted to the asking node.",
                details={"purpose": purpose_word(purpose)},
            )
        for kind in kinds:
            granting = [grant for grant in grants if kind in grant.kinds]
            if not granting:
                raise RefusedError(
                    "KIND_NOT_GRANTED",
                    "a kind of record that was asked for is not granted to the asking node.",
                    details={"kind": kind_word(kind)},
                )
            needs_consent = all(grant.consent_required for grant in granting)
            if (needs_consent or legal_basis == LEGAL_BASIS_CONSENT) and not has_consent:
                raise RefusedError("CONSENT_REQUIRED", "the learner's consent is needed and none was sent.")


def load_access(path: Path) -> Access:
    """Read ``access.toml``.

    Raises:
        ConfigError: missing, malformed, or contradicting itself; the text names file and key.
    """
    try:
        file = AccessFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} is missing.", remedy="An empty file grants nothing to nobody; create one."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: no TOML: {error}.") from error
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(lines), remedy="See `credit-gateway config schema access`.") from error
    for number, entry in enumerate(file.grant, 1):
        if not entry.consent_required and not entry.statutory_basis.strip():
            raise ConfigError(
                f"{path}: grant.{number - 1}.statutory_basis: a grant without consent needs one.",
                remedy="Name the statute or agreement, or set consent_required = true.",
            )
    return Access.of(file)
