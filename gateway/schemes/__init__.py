"""Declared credit schemes: loading, checking, and translating to and from the shared model."""

from gateway.schemes.counting import Count, CountedRecord, count_records
from gateway.schemes.differences import Difference, find_differences
from gateway.schemes.explain import Step, explain
from gateway.schemes.load import load_scheme, parse_scheme, scheme_json_schema
from gateway.schemes.local_record import LocalRecord
from gateway.schemes.moving import Moved, move
from gateway.schemes.present import present_record
from gateway.schemes.scheme import Scheme
from gateway.schemes.translate import translate_record
from gateway.schemes.untranslatable import UntranslatableError

__all__ = [
    "Count",
    "CountedRecord",
    "Difference",
    "LocalRecord",
    "Moved",
    "Scheme",
    "Step",
    "UntranslatableError",
    "count_records",
    "explain",
    "find_differences",
    "load_scheme",
    "move",
    "parse_scheme",
    "present_record",
    "scheme_json_schema",
    "translate_record",
]
