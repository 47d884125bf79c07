"""The node's record source and the files that fill it."""

from gateway.records.importing import ImportReport, import_file
from gateway.records.intake.rows import ImportFacts
from gateway.records.refusal import Refusal
from gateway.records.registry import FileImport, RecordTotal, Registry
from gateway.records.source import RecordSource, StoredRecord, local_record_of

__all__ = [
    "FileImport",
    "ImportFacts",
    "ImportReport",
    "RecordSource",
    "RecordTotal",
    "Refusal",
    "Registry",
    "StoredRecord",
    "import_file",
    "local_record_of",
]
