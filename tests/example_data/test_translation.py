"""Every example record is read by the importer and translates under its own province's scheme."""

from collections import Counter
from datetime import UTC, datetime
from functools import cache

import pytest

from creditexchange.v1.record_pb2 import VALUE_STATE_TRANSLATED, LearningRecord
from gateway.records.intake import delimited, json_lines
from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import ImportFacts, Reading, Row
from gateway.records.records_key import RecordsKey
from gateway.schemes import load_scheme, translate_record
from tests.example_data.rows import NODE_CONFIG, PROVINCES, rows

READERS = {".csv": delimited.read_rows, ".jsonl": json_lines.read_rows}


@cache
def translated(province: str) -> tuple[tuple[Row, LearningRecord], ...]:
    scheme = load_scheme(NODE_CONFIG / province / "scheme.toml")
    found = []
    for path in sorted((NODE_CONFIG / province / "records").iterdir()):
        reading = Reading(scheme, ImportFacts(RecordsKey(bytes(32))), datetime(2026, 11, 23, tzinfo=UTC))
        for row in READERS[path.suffix](SourceFile(path), reading):
            assert isinstance(row, Row), row
            found.append((row, translate_record(row.record, scheme, province)))
    return tuple(found)


@pytest.mark.parametrize("province", PROVINCES)
def test_the_importer_reads_every_row(province: str) -> None:
    assert len(translated(province)) == len(rows(province))


@pytest.mark.parametrize("province", PROVINCES)
def test_every_row_translates_and_names_its_rules(province: str) -> None:
    for row, shared in translated(province):
        assert shared.record_id == row.record.record_id
        assert shared.trace
        assert not shared.HasField("grade") or shared.grade.state == VALUE_STATE_TRANSLATED
        assert all(level.state == VALUE_STATE_TRANSLATED for level in shared.levels)
        assert all(work.state == VALUE_STATE_TRANSLATED for work in shared.workloads)
        assert all(issuer.role for issuer in shared.issuers)
        assert shared.status.state


@pytest.mark.parametrize("province", PROVINCES)
def test_only_points_have_no_study_hours(province: str) -> None:
    for row, shared in translated(province):
        for credit in shared.credits:
            assert (credit.state == VALUE_STATE_TRANSLATED) == (row.record.credit_unit != "point")


@pytest.mark.parametrize("province", PROVINCES)
def test_the_two_contradicting_graduation_numbers_are_the_only_warnings(province: str) -> None:
    warnings = Counter(warning.code for _, shared in translated(province) for warning in shared.warnings)
    assert warnings == {"graduation-number-year": 2}


def test_certificate_numbers_have_the_forms_that_are_meant() -> None:
    forms = Counter(
        shared.certificate.number_scheme for province in PROVINCES for _, shared in translated(province)
    )
    assert min(forms["graduation-18"], forms["skill-22"], forms["local"]) > 300


def test_members_of_the_banks_own_format_are_kept() -> None:
    graduations = [shared for row, shared in translated("shanghai") if row.record.education_level]
    assert all(
        [kept.name for kept in shared.originals] == ["education_code", "season"] for shared in graduations
    )
