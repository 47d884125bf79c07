"""Drafting a scheme from a province's own file, and measuring how much of a file a scheme covers."""

from gateway.schemes.drafting.columns import find_columns, named_columns
from gateway.schemes.drafting.coverage import Coverage, Unmapped, measure_coverage
from gateway.schemes.drafting.draft import write_draft
from gateway.schemes.drafting.province_file import ProvinceFile
from gateway.schemes.drafting.questions import Answers, Question, ask_all
from gateway.schemes.drafting.survey import Survey, survey

__all__ = [
    "Answers",
    "Coverage",
    "ProvinceFile",
    "Question",
    "Survey",
    "Unmapped",
    "ask_all",
    "find_columns",
    "measure_coverage",
    "named_columns",
    "survey",
    "write_draft",
]
