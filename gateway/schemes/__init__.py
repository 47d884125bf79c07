"""Declared credit schemes: loading, checking, and translating to and from the shared model."""

from gateway.schemes.explain import Step, explain
from gateway.schemes.load import load_scheme, parse_scheme, scheme_json_schema
from gateway.schemes.local_record import LocalRecord
from gateway.schemes.present import present_record
from gateway.schemes.scheme import Scheme
from gateway.schemes.translate import translate_record
from gateway.schemes.untranslatable import UntranslatableError

__all__ = [
    "LocalRecord",
    "Scheme",
    "Step",
    "UntranslatableError",
    "explain",
    "load_scheme",
    "parse_scheme",
    "present_record",
    "scheme_json_schema",
    "translate_record",
]
