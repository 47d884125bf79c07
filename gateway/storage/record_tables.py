"""The tables of the records store: the registry and the files that filled it.

``migrations/records`` makes them; a test keeps both equal. Learners stand here under subject
tokens only. Times are milliseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, SmallInteger, Table, Text

RECORD_METADATA = MetaData()

_INDEX = BigInteger().with_variant(Integer(), "sqlite")

RECORD_IMPORT = Table(
    "record_import",
    RECORD_METADATA,
    Column("id", _INDEX, primary_key=True, autoincrement=True),
    Column("file_name", Text, nullable=False),
    Column("finished_at", BigInteger, nullable=False),
    Column("row_count", BigInteger, nullable=False),
)
"""One row a file that was imported; a refused file leaves none."""

LEARNER_RECORD = Table(
    "learner_record",
    RECORD_METADATA,
    Column("id", _INDEX, primary_key=True, autoincrement=True),
    Column("record_id", Text, nullable=False, unique=True),
    Column("subject_token", LargeBinary, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("translated", LargeBinary, nullable=False),
    Column("scheme_digest", LargeBinary, nullable=False),
    Column("original", LargeBinary, nullable=False),
    Column("content_digest", LargeBinary, nullable=False),
    Column("import_id", BigInteger, nullable=False),
    Column("line", BigInteger, nullable=False),
    Index("learner_record_subject", "subject_token"),
)
"""``translated`` is a serialised LearningRecord, ``original`` the local record as JSON.
``import_id`` and ``line`` say where it came from last."""
