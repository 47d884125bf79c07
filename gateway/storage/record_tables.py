"""The tables of the records store: the registry and the files that filled it.

``migrations/records`` makes them; a test keeps both equal. Learners stand here under subject
tokens only. Times are milliseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

RECORD_METADATA = MetaData()

_INDEX = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite stores a table by its key only when the key is called INTEGER."""
_ID = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids are compared by code point everywhere, so that pages come in the same order on both engines."""

RECORD_IMPORT = Table(
    "record_import",
    RECORD_METADATA,
    Column("id", _INDEX, primary_key=True, autoincrement=True),
    Column("file_name", Text, nullable=False),
    Column("file_digest", LargeBinary, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
)
"""One row a file that was imported. It is written in the transaction of the records, so a file that
was refused or interrupted leaves none; ``state`` is ``complete`` once the transaction is visible.
``file_name`` has no folders, ``file_digest`` is SHA-256."""

LEARNER_RECORD = Table(
    "learner_record",
    RECORD_METADATA,
    Column("id", _INDEX, primary_key=True, autoincrement=True),
    Column("record_id", _ID, nullable=False, unique=True),
    Column("subject_token", LargeBinary, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("original", LargeBinary, nullable=False),
    Column("translated", LargeBinary, nullable=False),
    Column("scheme_digest", LargeBinary, nullable=False),
    Column("content_digest", LargeBinary, nullable=False),
    Column("import_id", BigInteger, ForeignKey("record_import.id"), nullable=False),
    Column("line", BigInteger, nullable=False),
    Index("learner_record_subject", "subject_token", "kind"),
)
"""One row a record. ``original`` is the local record as canonical JSON, ``translated`` the serialised
LearningRecord that the scheme with ``scheme_digest`` made of it. ``content_digest`` tells a changed
record from an unchanged one. ``import_id`` and ``line`` say which file it came from last."""

SOURCE_LEARNER = Table(
    "source_learner",
    RECORD_METADATA,
    Column("source", Text, primary_key=True),
    Column("subject_token", LargeBinary, primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True),
    Column("epoch", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("generation", BigInteger, nullable=False),
)
"""One row a learner and key of a SQL source. ``sealed_key`` is the source's own key for the learner,
encrypted; ``key_digest`` its keyed digest, which tells two keys of one learner apart. Learners whom the
newest ``generation`` does not have any more are gone."""

SUBJECT_ALIAS = Table(
    "subject_alias",
    RECORD_METADATA,
    Column("token", LargeBinary, primary_key=True),
    Column("canonical", LargeBinary, nullable=False),
    Index("subject_alias_canonical", "canonical"),
)
"""One row a learner and earlier epoch of the federation secret: ``token`` is the learner's under the earlier
one, ``canonical`` that under which the records stand."""

RECORD_CHANGE = Table(
    "record_change",
    RECORD_METADATA,
    Column("id", _INDEX, primary_key=True, autoincrement=True),
    Column("record_id", _ID, nullable=False),
    Column("subject_token", LargeBinary, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
"""Records that were corrected, ruled about or restored, until the node has found out who was given them.
The token is that under which the record stood before."""
