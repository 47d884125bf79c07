"""Zhejiang's catalogue of certificates."""

from collections import Counter

from tests.example_data.rows import catalogue, scheme


def test_the_catalogue_names_at_least_160_kinds_once_each() -> None:
    assert len(catalogue()) >= 160
    assert len({row["code"] for row in catalogue()}) == len(catalogue())
    assert len({row["name_zh"] for row in catalogue()}) == len(catalogue())


def test_both_departments_issue_them() -> None:
    issuers = Counter(row["issuer_kind"] for row in catalogue())
    assert set(issuers) == {"education", "human-resources"}
    assert min(issuers.values()) >= 80


def test_every_row_is_complete_and_of_a_kind_of_the_shared_model() -> None:
    kinds = {entry["kind"] for entry in scheme("zhejiang")["kinds"].values()}
    for row in catalogue():
        assert row["certificate_kind"] in kinds
        assert all(row[column] for column in row if column != "levels")
        assert row["name_en"].isascii()
        assert row["name_zh"] == row["name_zh"].strip()


def test_the_national_catalogue_of_qualifications_is_listed_whole() -> None:
    sources = Counter(
        row["source"].split("，", 1)[-1] for row in catalogue() if row["code"].startswith("ZJH-")
    )
    # Of the 33 items of the first list, survey and design engineers are given by their six registrations,
    # and teachers stand with the education side.
    assert sources["专业技术人员，准入类"] == 33 - 1 - 1 + 6
    assert sources["专业技术人员，水平评价类"] == 26
