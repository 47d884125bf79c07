"""What the API takes and gives, as its OpenAPI document shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES

PurposeWord = Literal[tuple(PURPOSES)]  # type: ignore[valid-type]
KindWord = Literal[tuple(KINDS)]  # type: ignore[valid-type]
BasisWord = Literal[tuple(LEGAL_BASES)]  # type: ignore[valid-type]
AuthenticationWord = Literal[
    "in-person", "national-identity", "province-account", "institution-account", "guardian-in-person"
]
FormWord = Literal["vc", "clr", "elmo", "pdf", "csv", "json"]
NodeId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", examples=["anhui"])]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Kinds = Annotated[list[KindWord], Field(max_length=12)]  # type: ignore[valid-type]
Nodes = Annotated[list[NodeId], Field(max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Dsse(_Body):
    """A signed message as DSSE v1 JSON."""

    payload: str = Field(max_length=64_000)
    """Standard base64."""
    payloadType: str = Field(max_length=200)  # noqa: N815 - the name is DSSE's
    """What is signed."""
    signatures: list[dict[str, str]] = Field(max_length=4)
    """`keyid` and `sig` of each."""


class SearchBody(_Body):
    """What to search for."""

    purpose: PurposeWord = "personal-archive"  # type: ignore[valid-type]
    """Why."""
    legal_basis: BasisWord = "consent"  # type: ignore[valid-type]
    """With `consent` and no consent in the request, those that this node issued are looked for."""
    kinds: Kinds = []
    """Which kinds; empty = every kind, or those of the consent."""
    peers: Nodes = []
    """Which nodes to ask; empty = all."""
    own_records: bool = False
    """Whether to add what this node itself holds."""
    consent: Dsse | None = None
    """A consent that became of a learning code. The learner is then whom it names."""
    deadline_ms: int = Field(default=0, ge=0, le=30_000)
    """How long to wait for each node, milliseconds; 0 = the node's setting."""


class Peer(_Body):
    """What one node gave, or why it gave nothing."""

    node: str
    outcome: str
    """`OK`, or a stable word (docs/protocol.md)."""
    explanation: str
    """In words, with a remedy; empty when it is `OK`."""
    record_count: int
    milliseconds: int
    exchange: str
    """Id of the exchange, hexadecimal; empty for this node itself."""
    receipt_verified: bool
    """Whether the node proved that it logged the exchange."""


class SearchState(_Body):
    """Where a search stands."""

    id: str
    state: Literal["running", "done", "failed"]
    problem: str
    """Why it failed; empty when it did not."""
    record_count: int
    peers: list[Peer]
    """What has come so far."""


class RecordList(_Body):
    """One page of records."""

    records: list[dict[str, Any]]
    """As `credit-gateway query --output json` shows them: `original`, `shared` and `local` values, the
    trace of every rule, who signed."""
    next_cursor: str | None
    """Give it as `cursor` to get the next page; null on the last one."""


class ConsentBody(_Body):
    """What the learner has agreed to; the application has shown exactly this."""

    asker: NodeId
    """The only node that may ask."""
    organisation: Text
    """For whom it asks."""
    answerers: Nodes = []
    """Nodes that may answer; empty = every node."""
    purpose: PurposeWord  # type: ignore[valid-type]
    kinds: Annotated[list[KindWord], Field(min_length=1, max_length=12)]  # type: ignore[valid-type]
    until: AwareDatetime
    """The end, with an offset; at most 366 days away."""
    authentication: AuthenticationWord = "province-account"
    """How it was made sure who the learner is."""


class Consent(_Body):
    """A consent that this node issued."""

    id: str
    state: Literal["live", "ended", "revoked"]
    issued: datetime | None
    until: datetime
    asker: str | None
    organisation: str | None
    answerers: list[str] | None
    """Null = erased; `["all"]` = every node."""
    purpose: str | None
    kinds: list[str] | None
    message: dict[str, Any] | None
    """The signed consent, DSSE JSON."""


class ConsentList(_Body):
    """One page of consents, the newest first."""

    consents: list[Consent]
    next_cursor: str | None


class Withdrawal(_Body):
    """What became of taking a consent back."""

    concerned: int
    """How many nodes it concerns; 0 also when it was taken back before."""
    confirmed: int
    """How many have confirmed; the others are told until they do."""


class CodeBody(_Body):
    """What the learner lets somebody ask, once."""

    purpose: PurposeWord  # type: ignore[valid-type]
    kinds: Annotated[list[KindWord], Field(min_length=1, max_length=12)]  # type: ignore[valid-type]
    redeemer: NodeId | None = None
    """The only node that may redeem it; null = any."""
    organisation: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    """The only organisation that may redeem it; empty = the redeemer names itself."""
    answerers: Nodes = []
    minutes: int = Field(default=10, ge=1, le=1440)
    """How long it can be redeemed."""
    consent_minutes: int = Field(default=60, ge=1, le=1440)
    """How long may be asked afterwards."""
    authentication: AuthenticationWord = "province-account"


class NewCode(_Body):
    """A learning code. It is shown now and never again."""

    id: str
    code: str
    """As it stands in the QR code."""
    typed: str
    """As it is typed."""
    expires: datetime


class Code(_Body):
    """A learning code that was issued."""

    id: str
    state: str
    issued: datetime
    expires: datetime
    redeemed_by: str
    redeemed: datetime | None
    consent: str
    """Id of the consent that it became; empty when it was not redeemed."""
    organisation: str
    purpose: str
    kinds: list[str]


class CodeList(_Body):
    """One page of codes, the newest first."""

    codes: list[Code]
    next_cursor: str | None


class RedemptionBody(_Body):
    """A code that somebody handed over."""

    code: str = Field(min_length=8, max_length=200, pattern=r"^[\x20-\x7e]*$")
    """As scanned or typed."""
    organisation: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    """For whom it is redeemed; may be empty when the code says."""


class Redemption(_Body):
    """The consent that a code became. Search with it; no learner needs to be named."""

    issuer: str
    """Node that issued the code."""
    consent: dict[str, Any]
    """DSSE JSON, for `consent` of a search."""
    until: datetime
    purpose: str
    kinds: list[str]


class Access(_Body):
    """One entry of the audit log about the learner."""

    index: int
    time: datetime
    kind: str
    action: str
    asker: str
    answerer: str
    peer: str
    purpose: str
    outcome: str
    record_count: int
    exchange: str


class AccessList(_Body):
    """One page of entries, the newest first."""

    accesses: list[Access]
    next_cursor: str | None


class ExportBody(_Body):
    """Which document."""

    format: FormWord
    record: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    """The one record that is wanted, SOURCE/ID; empty = all. `vc` holds one."""
    own_records: bool = False
    """The records of this node itself, not those of its peers."""
    purpose: PurposeWord = "personal-archive"  # type: ignore[valid-type]
    legal_basis: BasisWord = "consent"  # type: ignore[valid-type]
    kinds: Kinds = []
    peers: Nodes = []


class ProblemDetail(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None
    """With `invalid-argument`: a pointer to each member that does not fit."""
