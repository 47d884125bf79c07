"""The node's record source and the files that fill it."""

from gateway.records.importing import ImportReport, import_file
from gateway.records.intake.rows import COLUMNS, REQUIRED_COLUMNS, RefusedRow
from gateway.records.registry import KindCount, Registry
from gateway.records.source import RecordSource, StoredRecord, local_record_of

__all__ = [
    "COLUMNS",
    "REQUIRED_COLUMNS",
    "ImportReport",
    "KindCount",
    "RecordSource",
    "RefusedRow",
    "Registry",
    "StoredRecord",
    "import_file",
    "local_record_of",
]
