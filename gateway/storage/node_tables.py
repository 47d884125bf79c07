"""The tables of the node store: audit log, replay guard, evidence, what peers showed.

The queries live beside the rows they read (``audit_rows``, ``evidence_rows``, ``message_ids``,
``consent_rows``); the tables are made by ``migrations/node``, and a test keeps both equal.
Times are milliseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

Database = Engine
"""An open database; what callers outside ``gateway.storage`` hold."""
Transaction = Connection
"""A connection inside a transaction, or one for reads."""

NODE_METADATA = MetaData()

_INDEX = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite stores a table by its key only when the key is called INTEGER."""

AUDIT_TREE = Table(
    "audit_tree",
    NODE_METADATA,
    Column("origin", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("edge", LargeBinary, nullable=False),
    Column("logged_at", BigInteger, nullable=False),
)
"""One row, the only one that is updated. ``edge`` holds the 32-byte hashes one after another."""

AUDIT_ENTRY = Table(
    "audit_entry",
    NODE_METADATA,
    Column("idx", _INDEX, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("exchange_id", LargeBinary, nullable=False, index=True),
    Column("peer", Text, nullable=False),
    Column("logged_at", BigInteger, nullable=False),
    Index("audit_entry_peer", "peer", "idx"),
)
"""Insert-only. ``leaf`` is what was hashed, byte for byte; the columns after ``leaf_hash`` repeat
members of it, so that entries are found. ``peer`` is the other node of an exchange."""

AUDIT_NODE = Table(
    "audit_node",
    NODE_METADATA,
    Column("position", _INDEX, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)
"""Insert-only. Complete subtrees of level 1 and above in the order in which they came into being
(``audit_rows.node_position``); level 0 is ``audit_entry.leaf_hash``."""

AUDIT_CHECKPOINT = Table(
    "audit_checkpoint",
    NODE_METADATA,
    Column("size", _INDEX, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)
"""Insert-only. Every checkpoint that was ever signed, one for each group of entries."""

AUDIT_ORIGIN = Table(
    "audit_origin",
    NODE_METADATA,
    Column("since_size", _INDEX, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
)
"""Insert-only. Names under which the log was closed: checkpoints of at most ``since_size`` entries
that were signed before that bear ``origin``."""

AUDIT_COSIGNATURE = Table(
    "audit_cosignature",
    NODE_METADATA,
    Column("witness", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("time_s", BigInteger, nullable=False),
    Column("line", Text, nullable=False),
    PrimaryKeyConstraint("witness", "size"),
)
"""What witnesses signed under this log's checkpoints: the newest line of each hour and witness."""

WITNESSED_LOG = Table(
    "witnessed_log",
    NODE_METADATA,
    Column("origin", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)
"""The largest consistent head of each log for which this node is a witness, with its cosignature."""

PEER_CONFLICT = Table(
    "peer_conflict",
    NODE_METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("other_note", Text, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("what", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("found_at", BigInteger, nullable=False),
)
"""Insert-only. Two signed heads of one log of which one does not continue the other, with the proof
that failed (32-byte hashes one after another) and from whom the other head came."""

RECONCILIATION = Table(
    "reconciliation",
    NODE_METADATA,
    Column("peer", Text, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("their_next", BigInteger, nullable=False),
    Column("our_next", BigInteger, nullable=False),
    Column("checkpoint", Text, nullable=False),
    Column("matched", BigInteger, nullable=False),
    Column("sequence_max", BigInteger, nullable=False),
    Column("sequence_count", BigInteger, nullable=False),
    Column("done_at", BigInteger, nullable=False),
)
"""How far this node's log was compared with each peer's."""

RECONCILED_ENTRY = Table(
    "reconciled_entry",
    NODE_METADATA,
    Column("peer", Text, nullable=False),
    Column("idx", BigInteger, nullable=False),
    PrimaryKeyConstraint("peer", "idx"),
    sqlite_with_rowid=False,
)
"""Own entries at or after ``our_next`` whose counterpart was found."""

RECONCILE_FINDING = Table(
    "reconcile_finding",
    NODE_METADATA,
    Column("peer", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("exchange_id", LargeBinary, nullable=False),
    Column("our_idx", BigInteger, nullable=False),
    Column("their_idx", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("found_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("peer", "kind", "our_idx", "their_idx"),
)
"""Differences between two logs; an index of -1 stands for an entry that is not there."""

NOTICE = Table(
    "notice",
    NODE_METADATA,
    Column("notice_id", LargeBinary, primary_key=True),
    Column("method", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("delivered_at", BigInteger, nullable=False),
    Index("notice_pending", "method", "delivered_at", "created_at"),
)
"""Erasures and changed records of which a peer is told by the RPC ``method``; ``delivered_at`` is 0 until
it has confirmed."""

HEARD_CHANGE = Table(
    "heard_change",
    NODE_METADATA,
    Column("peer", Text, nullable=False),
    Column("exchange_id", LargeBinary, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("heard_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("peer", "exchange_id", "commitment", "changed_at"),
    Index("heard_change_time", "heard_at"),
)
"""Insert-only. Records, and states of certificates, that a peer gave and that changed there since."""

ISSUED_CONSENT = Table(
    "issued_consent",
    NODE_METADATA,
    Column("consent_id", LargeBinary, primary_key=True),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
"""Consents that this node issued. Each stands, encrypted and erasable, among the openings of the entry
whose ``exchange_id`` is the consent's id."""

REVOKED_CONSENT = Table(
    "revoked_consent",
    NODE_METADATA,
    Column("issuer", Text, nullable=False),
    Column("consent_id", LargeBinary, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("issuer", "consent_id"),
)
"""Consents that their issuers took back, remembered until they would have ended."""

REVOCATION_NOTICE = Table(
    "revocation_notice",
    NODE_METADATA,
    Column("consent_id", LargeBinary, nullable=False),
    Column("peer", Text, nullable=False),
    Column("delivered_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("consent_id", "peer"),
)
"""Whom a revocation of this node's concerns; ``delivered_at`` is 0 until the peer has confirmed it."""

ISSUED_CREDENTIAL = Table(
    "issued_credential",
    NODE_METADATA,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("content_tag", LargeBinary, nullable=False, unique=True),
    Column("source_node", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("list_number", Integer, nullable=False),
    Column("list_index", Integer, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("list_number", "list_index"),
    Index("issued_credential_record", "source_node", "record_id"),
)
"""Credentials that this node issued. ``state`` is that of the record behind it: the bits of the status
lists follow from it."""

KNOWN_CARD = Table(
    "known_card",
    NODE_METADATA,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("node_id", Text, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("card", Text, nullable=False),
)
"""Every card, of this node and of its peers, under which entries were logged: what verifies old
signatures after the keys have changed."""

SEEN_MESSAGE = Table(
    "seen_message",
    NODE_METADATA,
    Column("message_id", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The replay guard: ids of messages that time alone does not refuse yet."""

EVIDENCE_SIGNED = Table(
    "evidence_signed",
    NODE_METADATA,
    Column("idx", _INDEX, primary_key=True, autoincrement=False),
    Column("request_message", LargeBinary, nullable=False),
    Column("request_body", LargeBinary, nullable=False),
    Column("answer_message", LargeBinary, nullable=False),
    Column("answer_body", LargeBinary, nullable=False),
)
"""Signed bytes of an entry's exchange. They hold commitments, nothing personal; kept for ever."""

EVIDENCE = Table(
    "evidence",
    NODE_METADATA,
    Column("idx", BigInteger, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("idx", "part"),
)
"""The openings: personal, encrypted with AES-256-GCM under the key of the same (idx, part).

On PostgreSQL this table and the next two are divided by the month of ``expires_at``, which therefore
belongs to their keys there (``partitions``)."""

EVIDENCE_KEY = Table(
    "evidence_key",
    NODE_METADATA,
    Column("idx", BigInteger, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("wrapped_by", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("idx", "part"),
    sqlite_with_rowid=False,
)
"""Data keys, each wrapped (RFC 3394) by the node's evidence key; deleting one erases its part."""

SUBJECT_INDEX = Table(
    "subject_index",
    NODE_METADATA,
    Column("subject_ref", LargeBinary, nullable=False),
    Column("idx", BigInteger, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("subject_ref", "idx", "part"),
    sqlite_with_rowid=False,
)
"""Which entries are about whom. ``subject_ref`` is an HMAC of the subject token under a node key."""

PAIR_SEQUENCE = Table(
    "pair_sequence",
    NODE_METADATA,
    Column("peer", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
"""The last sequence number that this node used as asker of ``peer``."""

NODE_FACT = Table(
    "node_fact",
    NODE_METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""Single facts about the store, for example since when its replay guard is complete."""

LEARNING_CODE = Table(
    "learning_code",
    NODE_METADATA,
    Column("code_id", LargeBinary, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("entry_id", LargeBinary, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Column("redeemed_at", BigInteger, nullable=False),
    Column("redeemed_by", Text, nullable=False),
    Column("redemption", LargeBinary, nullable=False),
    Column("consent_id", LargeBinary, nullable=False),
)
"""Learning codes that this node issued. What a code permits is an opening of the audit entry whose
``exchange_id`` is ``entry_id``; times are 0 while something has not happened."""

CODE_ATTEMPT = Table(
    "code_attempt",
    NODE_METADATA,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("exchange_id", LargeBinary, nullable=False),
    Column("opening_key", LargeBinary, nullable=False),
    Column("begun_at", BigInteger, nullable=False),
)
"""Codes of others that this node began to redeem and got no answer about: the retry is the same exchange."""

QUOTA_USE = Table(
    "quota_use",
    NODE_METADATA,
    Column("day", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("learners", BigInteger, nullable=False),
    PrimaryKeyConstraint("day", "peer", "purpose"),
    sqlite_with_rowid=False,
)
"""About how many learners each peer was answered on each day."""

RATE_WINDOW = Table(
    "rate_window",
    NODE_METADATA,
    Column("name", Text, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("taken", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", "start"),
    sqlite_with_rowid=False,
)
"""How much of a rate was taken in each window of time, by all processes of the node."""

EXCHANGE_TIMING = Table(
    "exchange_timing",
    NODE_METADATA,
    Column("exchange_id", LargeBinary, nullable=False),
    Column("role", Text, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("peer", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("steps", Text, nullable=False),
    PrimaryKeyConstraint("exchange_id", "role", "ended_at"),
    Index("exchange_timing_ended", "ended_at"),
)
"""How long each step of recent exchanges took. A bounded memory for operators; the oldest rows go."""

IDEMPOTENT_CALL = Table(
    "idempotent_call",
    NODE_METADATA,
    Column("tag", LargeBinary, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Index("idempotent_call_begun_at", "begun_at"),
)
"""Calls of the local API that are not done twice, for a day; answers are encrypted under callers' keys."""
