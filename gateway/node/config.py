"""``node.toml``: every setting with its unit, default, effect and trap. Refused, not guessed."""

from __future__ import annotations

import difflib
import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from gateway.errors import ConfigError
from gateway.node.console_table import ConsoleTable
from gateway.node.department_files import SOURCES_FOLDER, department_tables
from gateway.node.portal_table import PortalTable
from gateway.node.toml_file import read_toml
from gateway.peers.card import ENDPOINTS_MAX, MAINTENANCE_MAX, NODE_ID_PATTERN, is_endpoint
from gateway.records.source import TEXT_FIELDS
from gateway.schemes.shared_words import KINDS
from gateway.signing.cosignature import CosignatureVerifier
from gateway.signing.envelope import SIGNATURES_MAX
from gateway.signing.key_uri import is_key_uri, parse_key_uri
from gateway.signing.signed_note import NoteError, NoteVerifier
from gateway.storage.foreign_database import check_select, check_url

CONFIG_FILE = "node.toml"


def _node_id(text: str) -> str:
    if not NODE_ID_PATTERN.fullmatch(text):
        raise ValueError("write 2 to 32 characters of a-z, 0-9 and inner hyphens, beginning with a letter")
    return text


def _endpoint(text: str) -> str:
    if not is_endpoint(text):
        raise ValueError('write "host:port", for example "gateway.zhejiang.example:7443"')
    return text


def _loopback(text: str) -> str:
    host = _endpoint(text).rsplit(":", 1)[0].strip("[]")
    if host != "localhost":
        try:
            is_loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_loopback = False
        if not is_loopback:
            raise ValueError("only a loopback address is allowed, for example 127.0.0.1:7444")
    return text


def _database_url(text: str) -> str:
    if not re.match(r"(sqlite:///.|postgresql(\+psycopg)?://)", text):
        raise ValueError("write sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE")
    return text


def _cosignature_key(text: str) -> str:
    try:
        CosignatureVerifier.from_vkey(text)
    except NoteError as error:
        raise ValueError(f"{error.message} Copy the witness's vkey, NAME+KEYID+BASE64") from error
    return text


def _log_key(text: str) -> str:
    try:
        NoteVerifier.from_vkey(text)
    except NoteError as error:
        raise ValueError(f"{error.message} Copy the log's vkey, NAME+KEYID+BASE64") from error
    return text


def _kind(word: str) -> str:
    if word not in KINDS.words:
        raise ValueError(f"use one of {', '.join(KINDS.words)}")
    return word


def _select(*, has_parameter: bool) -> AfterValidator:
    return AfterValidator(lambda query: check_select(query, has_parameter=has_parameter))


def _layout_columns(columns: dict[str, str]) -> dict[str, str]:
    for name in columns:
        if name not in TEXT_FIELDS:
            near = difflib.get_close_matches(name, TEXT_FIELDS, n=1)
            raise ValueError(
                f"no column {name!r} in docs/records.md{f'; did you mean {near[0]!r}?' if near else ''}"
            )
    return columns


def _key_source(text: str) -> str:
    if is_key_uri(text):
        parse_key_uri(text)
    elif not KEY_FILE_PATTERN.fullmatch(text):
        raise ValueError('write the name of a file in keys/, for example "message.pem", or a pkcs11: URI')
    return text


KEY_FILE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.pem", re.ASCII)
KeySource = Annotated[str, AfterValidator(_key_source)]
SuiteName = Literal["ed25519", "ecdsa-p256", "sm2", "ml-dsa-65"]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Loopback = Annotated[str, AfterValidator(_loopback)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class NodeTable(_Table):
    """``[node]``: who this node is."""

    id: Annotated[str, AfterValidator(_node_id)]
    """Node id. It stands in every signed message and cannot be changed later."""
    names: dict[str, str] = Field(min_length=1)
    """Names for people, by language tag, for example { zh-Hans = "浙江", en = "Zhejiang" }."""


class ListenTable(_Table):
    """``[listen]``: where this node listens."""

    peers: Endpoint
    """Address and port for peers, mutual TLS 1.3. Use 0.0.0.0:PORT to listen on every interface."""
    operator: Loopback
    """Loopback address and port for local applications and the command line, protected by a token."""
    metrics: Endpoint
    """Address and port of the metrics page. Unprotected: keep it on loopback or a monitoring network."""


class CardTable(_Table):
    """``[card]``: what the node's card says beside its keys."""

    endpoints: tuple[Endpoint, ...] = Field(min_length=1, max_length=ENDPOINTS_MAX)
    """Where peers reach this node, host:port, in order of preference."""


class DatabaseTable(_Table):
    """``[database]``: where the node keeps its log and its records."""

    url: DatabaseUrl = "sqlite:///data/node.db"
    """Audit log, replay guard, evidence. A relative SQLite file lies in the node's folder."""
    records_url: DatabaseUrl = "sqlite:///data/records.db"
    """The registry of records. On SQLite keep it a file of its own: a long import would otherwise
    hold the lock that every answer needs. On PostgreSQL it may be the same database."""


class KeysTable(_Table):
    """``[keys]``: how private keys are protected."""

    passphrase_file: str = ""
    """File (mode 0600) with the passphrase of the key files; empty = the environment variable
    CREDIT_GATEWAY_KEY_PASSPHRASE, or none. Relative to the node's folder."""
    message: tuple[KeySource, ...] = Field(default=("message.pem",), min_length=1, max_length=SIGNATURES_MAX)
    """Keys that sign messages and the card, one signature each: files in keys/, or RFC 7512 URIs of
    keys in a hardware module. A second suite here is a second signature on everything."""
    log: KeySource = "log.pem"
    """Key that signs checkpoints of the audit log. `keys rotate log` replaces it."""
    witness: KeySource = "witness.pem"
    """Key that cosigns the logs of peers."""


class PolicyTable(_Table):
    """``[policy]``: what this node demands of every peer."""

    required_suites: tuple[SuiteName, ...] = ()
    """Suites of which a signature must verify on each message of a peer; empty = every suite of the
    message keys that the peer's card lists. `required_suites` in peers/ID.toml goes before it.
    Trap: stating fewer than a card lists lets the others be stripped."""


class FederationTable(_Table):
    """``[federation]``: the secret under which learners are looked up."""

    epochs: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,16}$")], ...] = Field(default=(), max_length=2)
    """Live epochs of the federation secret, the newest first; at most two. The secret of epoch E
    lies in keys/federation-E.secret. Without one the node can neither ask nor import."""


class ForeignWitness(_Table):
    """``[[audit.witnesses]]``: a witness that is no peer, reached over the C2SP tlog-witness protocol."""

    verifier_key: Annotated[str, AfterValidator(_cosignature_key)]
    """The witness's verifier key (vkey, type 0x04)."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s]{1,500}$")]
    """Its submission prefix; /add-checkpoint is added to it."""


class AuditTable(_Table):
    """``[audit]``: the audit log."""

    origin: Annotated[str, Field(pattern=r"^[A-Za-z0-9./_-]{3,128}$")]
    """Name of the log in its checkpoints: a URL without scheme that you own, with the year it
    began, for example "audit.zhejiang.example/2026". It cannot be changed later."""
    witness: Annotated[str, Field(pattern=r"^([A-Za-z0-9./_-]{3,128})?$")] = ""
    """As whom this node cosigns the logs of others; empty = the origin's host name + "/witness"."""
    cosign_s: float = Field(default=10.0, ge=0.5, le=3600)
    """How often a changed log is shown to its witnesses and theirs are looked at, seconds."""
    listen: Endpoint | None = None
    """Address and port of an open HTTP page with the log as tiles (C2SP tlog-tiles) and the witness
    (C2SP tlog-witness); none = not served. It holds nothing personal; a static copy does as well."""
    witnesses: tuple[ForeignWitness, ...] = Field(default=(), max_length=16)
    """Witnesses that are no peers. Peers are witnesses by themselves."""
    witnessed_logs: tuple[Annotated[str, AfterValidator(_log_key)], ...] = Field(default=(), max_length=256)
    """Verifier keys (vkey) of logs that are no peers' and that this node cosigns over HTTP."""

    @property
    def witness_name(self) -> str:
        """As whom this node cosigns."""
        return self.witness or f"{self.origin.split('/', 1)[0]}/witness"


class CredentialsTable(_Table):
    """``[credentials]``: what this node issues to learners."""

    domain: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?)?$")] = ""
    """Host, with a port if it is not 443, under which the open page (audit.listen) is reached over HTTPS,
    for example "credentials.zhejiang.example". It becomes the issuer's name, did:web:DOMAIN, and stands in
    every credential and status list: what was issued keeps it. Empty = did:key, without status lists."""


class ExchangeTable(_Table):
    """``[exchange]``: how messages are measured."""

    window_s: int = Field(default=60, ge=5, le=120)
    """From issue to expiry of this node's own messages, seconds."""
    skew_s: int = Field(default=30, ge=0, le=60)
    """Tolerated difference between this node's clock and a peer's, seconds."""
    deadline_s: float = Field(default=5.0, gt=0, le=30)
    """How long to wait for each peer, seconds."""


class AskingTable(_Table):
    """``[asking]``: how this node asks its peers."""

    attempts_max: int = Field(default=3, ge=1, le=5)
    """Messages to one peer about one question, each freshly signed; 1 = never asked again."""
    hedge: bool = False
    """Whether a peer that takes longer than 95 % of its last answers did is sent a second message, to its
    next endpoint. The first valid answer counts. Costs both sides an entry of the log each time."""
    deadlines_s: dict[Annotated[str, AfterValidator(_node_id)], Annotated[float, Field(gt=0, le=30)]] = {}
    """How long to wait for certain peers, seconds, by node id, instead of exchange.deadline_s."""


class MaintenanceTable(_Table):
    """``[[maintenance]]``: a time in which this node does not answer. It stands in the card; peers do not ask
    then, and do not count it as a failure.
    """

    start: AwareDatetime = Field(alias="from")
    """Begin, with an offset, for example 2026-12-01T22:00:00+08:00."""
    until: AwareDatetime
    """End, with an offset."""
    reason: dict[str, str] = Field(default={}, max_length=8)
    """What is done, by language tag, for example { zh-Hans = "更换磁盘", en = "new disks" }."""

    @model_validator(mode="after")
    def _has_length(self) -> MaintenanceTable:
        if self.until <= self.start:
            raise ValueError("until must come after from")
        return self


class LimitsTable(_Table):
    """``[limits]``: what one node bears at once."""

    threads: int = Field(default=16, ge=1, le=128)
    """Calls answered at once; more are refused as OVERLOADED."""
    message_bytes_max: int = Field(default=256 * 1024, ge=32 * 1024, le=4 * 1024 * 1024)
    """Largest message, bytes. All nodes of a federation should use the same."""
    streams_per_connection_max: int = Field(default=64, ge=1, le=1024)
    """Calls at once over one connection."""
    connection_age_s_max: int = Field(default=600, ge=60, le=86_400)
    """Age at which a connection is renewed, seconds; removed peers lose access by then at the latest."""
    connection_idle_s_max: int = Field(default=300, ge=10, le=86_400)
    """Idle time after which a connection is closed, seconds."""
    drain_s: float = Field(default=30.0, ge=1, le=300)
    """How long calls in flight may take after SIGTERM, seconds."""


class RotationTable(_Table):
    """``[rotation]``: how long the steps of `keys rotate` take. It announces the next key in the card, uses
    it when the peers have that card, and forgets the old one after a while.
    """

    announce_s: float = Field(default=86_400, ge=0, le=90 * 86_400)
    """Least time from the announcement of a key to its first use, seconds."""
    wait_s: float = Field(default=14 * 86_400, ge=0, le=180 * 86_400)
    """Longest time that a step waits for peers that have not taken up the card, seconds. Trap: such a
    peer is then locked out until it gets the card by hand."""
    overlap_s: float = Field(default=7 * 86_400, ge=0, le=180 * 86_400)
    """How long the old key goes on being accepted after the new one is used, seconds."""
    settle_s: float = Field(default=60, ge=0, le=3600)
    """How long after the last peer has taken up the card a step begins, seconds: longer than any exchange."""
    poll_s: float = Field(default=60, ge=0.2, le=3600)
    """How often each peer is asked for its newest card and which of this node's cards it has, seconds."""


class SqlSourceTable(_Table):
    """``[[records.sql]]``: a database of the province that is asked when a peer asks; never written."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    """Name of the source in logs and metrics, and of its index. A new name needs a new index."""
    url: Annotated[str, AfterValidator(check_url)]
    """SQLAlchemy URL without password: sqlite:///FILE, postgresql://USER@HOST/DATABASE or
    mysql://USER@HOST/DATABASE. Give the role no right but SELECT."""
    password_file: str = ""
    """File (mode 0600) with the password, relative to the node's folder; empty = none."""
    query: Annotated[str, _select(has_parameter=True)]
    """One SELECT, one row a record, of the learner whose key is :learner."""
    learners: Annotated[str, _select(has_parameter=False)]
    """One SELECT of learner_id and learner_key, one row a learner; `records index` reads it."""
    learner_id_type: Literal["resident-id", "passport", "student-number"] = "resident-id"
    """Type of the identifiers in learner_id."""
    columns: Annotated[dict[str, str], AfterValidator(_layout_columns)]
    """Column of the record layout = column of the query. Other columns become originals."""
    values: Annotated[dict[str, str], AfterValidator(_layout_columns)] = {}
    """Column of the record layout = text that is the same in every record."""
    kinds: tuple[Annotated[str, AfterValidator(_kind)], ...] = Field(min_length=1)
    """Kinds of record that it may hold. For others it is not asked, so its failure does not matter."""
    timeout_s: float = Field(default=2.0, ge=0.1, le=10)
    """How long one look-up may take, seconds. Keep it below the peers' deadlines."""
    connections_max: int = Field(default=4, ge=1, le=64)
    """Connections at once; more look-ups are refused."""

    @model_validator(mode="after")
    def _is_whole(self) -> SqlSourceTable:
        missing = [
            n for n in ("record_id", "kind", "title") if n not in self.columns and n not in self.values
        ]
        twice = sorted(set(self.columns) & set(self.values))
        if missing or twice or "record_id" in self.values:
            raise ValueError(
                f"missing in columns: {', '.join(missing)}"
                if missing
                else "a column and a value for one name"
            )
        return self


class RecordsTable(_Table):
    """``[records]``: where records come from beside the registry."""

    sql: tuple[SqlSourceTable, ...] = Field(default=(), max_length=64)
    """Databases, asked after the registry in this order."""

    @model_validator(mode="after")
    def _are_different(self) -> RecordsTable:
        if len({source.name for source in self.sql}) < len(self.sql):
            raise ValueError("two sources have one name")
        return self


class LogTable(_Table):
    """``[log]``: log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""


class TelemetryTable(_Table):
    """``[telemetry]``: spans for OpenTelemetry, besides metrics and log lines."""

    otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://[^\s/]{1,250}:\d{1,5})?$")] = ""
    """Where spans are sent (OTLP over gRPC), for example "http://127.0.0.1:4317"; empty = none are made.
    Needs the extra `tracing`. Spans hold node ids, exchange ids, outcomes and durations, nothing personal."""
    sample_ratio: float = Field(default=0.1, ge=0, le=1)
    """Share of traces that is kept, from 0 to 1. Use the same at every node, so that traces are whole."""


class NodeConfig(_Table):
    """``node.toml``: the configuration of one node."""

    node: NodeTable
    listen: ListenTable
    card: CardTable
    audit: AuditTable
    database: DatabaseTable = DatabaseTable()
    keys: KeysTable = KeysTable()
    policy: PolicyTable = PolicyTable()
    federation: FederationTable = FederationTable()
    exchange: ExchangeTable = ExchangeTable()
    credentials: CredentialsTable = CredentialsTable()
    asking: AskingTable = AskingTable()
    maintenance: tuple[MaintenanceTable, ...] = Field(default=(), max_length=MAINTENANCE_MAX)
    rotation: RotationTable = RotationTable()
    limits: LimitsTable = LimitsTable()
    records: RecordsTable = RecordsTable()
    console: ConsoleTable = ConsoleTable()
    portal: PortalTable = PortalTable()
    log: LogTable = LogTable()
    telemetry: TelemetryTable = TelemetryTable()


def load_config(folder: Path) -> NodeConfig:
    """Read ``node.toml`` of a node's folder.

    Raises:
        ConfigError: missing or wrong; every problem of the file in one text, with key and remedy.
    """
    path = folder / CONFIG_FILE
    missing = ConfigError(
        f"{path} is missing: {folder} is no node's folder.",
        remedy="Create one with `credit-gateway init DIR --id ID`, or name it with --node.",
    )
    return _with_departments(parse_config(read_toml(path, missing=missing), str(path)), folder)


def _with_departments(config: NodeConfig, folder: Path) -> NodeConfig:
    """Return ``config`` with the sources that files of ``sources/`` declare, after those of its own.

    Raises:
        ConfigError: one of the files is wrong; the text names it.
    """
    tables = []
    for path, data in department_tables(folder):
        try:
            tables.append(SqlSourceTable.model_validate(data))
        except ValidationError as error:
            raise ConfigError(
                "\n".join(problem_lines(error, str(path), SqlSourceTable)),
                remedy="It has the keys of one [[records.sql]]; see docs/sources.md.",
            ) from error
    if not tables:
        return config
    try:
        records = RecordsTable(sql=(*config.records.sql, *tables))
    except ValidationError as error:
        place = str(folder / SOURCES_FOLDER)
        raise ConfigError("\n".join(problem_lines(error, place, RecordsTable))) from error
    return config.model_copy(update={"records": records})


def parse_config(data: dict[str, Any], place: str) -> NodeConfig:
    """Validate ``data``; ``place`` names it in errors. Raises ``ConfigError`` as :func:`load_config`."""
    try:
        return NodeConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(
            "\n".join(problem_lines(error, place, NodeConfig)),
            remedy="`credit-gateway config schema node` lists every key with its meaning.",
        ) from error


def problem_lines(error: ValidationError, place: str, model: type[BaseModel]) -> list[str]:
    """Return one line a problem: file, key, what is wrong and what would be right."""
    return [
        f"{place}: {'.'.join(map(str, entry['loc']))}: {_explained(entry, model)}" for entry in error.errors()
    ]


def _explained(entry: Any, model: type[BaseModel]) -> str:
    if entry["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(entry["loc"][-1]), _keys_beside(entry["loc"], model), n=1)
        return f"unknown key{f'; did you mean {near[0]!r}?' if near else ''}"
    if entry["type"] == "missing":
        return "this key is needed"
    text = str(entry["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _keys_beside(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Return the keys that are known where ``location`` ends."""
    current: Any = model
    for part in location[:-1]:
        field = current.model_fields.get(part) if hasattr(current, "model_fields") else None
        if field is None:
            return []
        current = field.annotation
    return list(getattr(current, "model_fields", {}))
