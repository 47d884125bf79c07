"""Write the example records of the four provinces; see README.md beside this file.

    python node_config/make_example_records.py            write every record file anew
    python node_config/make_example_records.py --check    exit 1 if a committed file differs

The files follow from the seed and the word lists alone: the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path

import example_words as words
from example_dialects import DIALECTS, Row, local_rows
from example_plans import population

SEED = 20260615

HERE = Path(__file__).resolve().parent

FILES = {
    "shanghai": {"education": "csv", "vocational": "csv"},
    "jiangsu": {"education": "jsonl", "vocational": "jsonl"},
    "zhejiang": {"education": "csv", "vocational": "csv"},
    "anhui": {"education": "csv", "vocational": "jsonl"},
}
"""Record files of each province and their format."""

EDUCATION_KINDS = frozenset({"degree", "graduation", "course"})
"""What the education side keeps; everything else lies in the file of the vocational side."""


def record_files() -> dict[Path, str]:
    """Return every record file and its text."""
    learners = population(SEED)
    catalogue = catalogue_codes()
    files: dict[Path, str] = {}
    for province in words.PROVINCES:
        rows = local_rows(DIALECTS[province], learners, catalogue if province == "zhejiang" else {})
        for name, form in FILES[province].items():
            part = [row for kind, row in rows if (kind in EDUCATION_KINDS) == (name == "education")]
            text = csv_text(part) if form == "csv" else jsonl_text(part)
            files[HERE / province / "records" / f"{name}.{form}"] = text
    return files


def catalogue_codes() -> dict[str, str]:
    """Return the codes of Zhejiang's catalogue of certificates by Chinese name."""
    with (HERE / "zhejiang" / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        return {row["name_zh"]: row["code"] for row in csv.DictReader(file)}


def csv_text(rows: list[Row]) -> str:
    """Return ``rows`` as CSV with the columns that any of them fills."""
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def jsonl_text(rows: list[Row]) -> str:
    """Return ``rows`` as JSON Lines; members that are not stated are left out."""
    lines = ({column: value for column, value in row.items() if value} for row in rows)
    return "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)


def main(arguments: list[str]) -> int:
    """Write the files, or compare them. Return the exit status."""
    parser = argparse.ArgumentParser(description="Write the example records of the four provinces.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    check = parser.parse_args(arguments).check
    stale = 0
    for path, text in record_files().items():
        content = text.encode("utf-8")
        if path.is_file() and path.read_bytes() == content:
            continue
        stale += 1
        print(f"{'differs' if check else 'written'}: {path.relative_to(HERE)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
