"""Everything a start would trip over, found without starting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeVar

from cryptography import x509

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.node.config import NodeConfig, SqlSourceTable, load_config
from gateway.node.folder import NodeFolder, NodeKeys, load_keys
from gateway.node.sources import probe
from gateway.node.state import load_secrets
from gateway.node.stores import audit_log_of, registry_of
from gateway.peers.node_ca import LEAF_RENEWAL_DAYS
from gateway.peers.roster import Roster, load_roster
from gateway.policy.grants import Access, load_access
from gateway.records.sql_source import count_indexed
from gateway.schemes import Scheme, load_scheme

T = TypeVar("T")

WARN_DAYS = 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    state: Literal["ok", "note", "problem"]
    what: str
    seen: str


def run_checks(folder: NodeFolder, clock: Clock) -> list[Finding]:
    """Return what was found, in the order of a start. Problems do not stop the looking."""
    findings: list[Finding] = []
    config = _try(findings, "node.toml", lambda: load_config(folder.root), lambda c: f"node {c.node.id}")
    if config is None:
        return findings
    keys = _try(findings, "keys", lambda: load_keys(folder, config), lambda _: "readable by this user only")
    _check_secrets(findings, folder, config)
    _try(findings, "scheme.toml", lambda: load_scheme(folder.scheme), _scheme_seen)
    for table in config.records.sql:
        _try(findings, f"source {table.name}", partial(_ask_source, folder, config, table), _source_seen)
    roster = _try(
        findings,
        "peers",
        lambda: load_roster(folder.peers, config.node.id, config.policy.required_suites),
        lambda r: ", ".join(r.peers) or "none",
    )
    access = _try(
        findings, "access.toml", lambda: load_access(folder.access), lambda a: f"{len(a.grants)} grants"
    )
    if roster is not None and access is not None:
        _check_access(findings, roster, access)
    if roster is not None:
        _check_expiry(findings, roster, clock())
    if keys is not None:
        _check_leaf(findings, keys, clock())
        _check_databases(findings, folder, config, keys, clock)
    return findings


def _check_secrets(findings: list[Finding], folder: NodeFolder, config: NodeConfig) -> None:
    secrets = _try(
        findings,
        "federation secret",
        lambda: load_secrets(folder, config),
        lambda s: f"epochs {', '.join(s)}" if s else "none",
    )
    if secrets is not None and not secrets:
        findings[-1] = Finding(
            "problem",
            "federation secret",
            "node.toml, federation.epochs is empty: the node can neither ask nor import. Run "
            "`credit-gateway init` with --federation-secret and name the epoch in node.toml.",
        )


def _ask_source(folder: NodeFolder, config: NodeConfig, table: SqlSourceTable) -> int:
    """Return how many learners a source's index has, after the source itself answered."""
    probe(folder, table)
    with registry_of(folder, config) as registry:
        return count_indexed(registry.database, table.name)


def _source_seen(learners: int) -> str:
    return f"answers; {learners:,} learners in its index" if learners else "answers; run `records index`"


def _check_access(findings: list[Finding], roster: Roster, access: Access) -> None:
    named = {*(peer for peer, _ in access.grants), *access.rates, *access.quotas, *access.consent_issuers}
    strangers = sorted(named - set(roster.peers))
    if strangers:
        findings.append(Finding("note", "access.toml", f"it names unknown peers: {', '.join(strangers)}"))
    idle = sorted(set(roster.peers) - {peer for peer, _ in access.grants})
    if idle:
        findings.append(Finding("note", "access.toml", f"peers that may ask nothing: {', '.join(idle)}"))


def _check_expiry(findings: list[Finding], roster: Roster, now: datetime) -> None:
    for peer in roster.peers.values():
        left = peer.card.expires - now
        if left <= timedelta(0):
            findings.append(
                Finding(
                    "problem",
                    f"card of {peer.node_id}",
                    f"expired on {peer.card.expires:%Y-%m-%d}. Ask its operator for the newest card and run "
                    "`credit-gateway peers add`.",
                )
            )
        elif left < timedelta(days=WARN_DAYS):
            findings.append(Finding("note", f"card of {peer.node_id}", f"expires in {left.days} days"))


def _check_leaf(findings: list[Finding], keys: NodeKeys, now: datetime) -> None:
    leaf = x509.load_pem_x509_certificate(keys.tls_leaf_pem)
    left = leaf.not_valid_after_utc - now
    seen = f"{left.days} days left"
    if left < timedelta(days=LEAF_RENEWAL_DAYS):
        findings.append(Finding("note", "TLS leaf", f"{seen}; the next start renews it"))
    else:
        findings.append(Finding("ok", "TLS leaf", seen))
    ca_left = keys.tls_ca.not_valid_after_utc - now
    if ca_left < timedelta(days=365):
        findings.append(Finding("note", "node CA", f"{ca_left.days} days left; plan a new one"))


def _check_databases(
    findings: list[Finding], folder: NodeFolder, config: NodeConfig, keys: NodeKeys, clock: Clock
) -> None:
    def count_records() -> int:
        with registry_of(folder, config) as registry:
            return registry.count()

    def count_entries() -> int:
        with audit_log_of(folder, config, keys, clock) as log:
            return log.size

    _try(findings, "records database", count_records, lambda count: f"{count} records")
    _try(findings, "audit log", count_entries, lambda n: f"{n} entries, tree and checkpoint agree")


def _scheme_seen(scheme: Scheme) -> str:
    reference = scheme.reference
    return f"{reference.scheme_id} {reference.version}{'' if reference.official else ', not official'}"


def _try(findings: list[Finding], what: str, attempt: Callable[[], T], seen: Callable[[T], str]) -> T | None:
    try:
        result = attempt()
        findings.append(Finding("ok", what, seen(result)))
    except GatewayError as error:
        findings.append(Finding("problem", what, str(error)))
        return None
    return result
