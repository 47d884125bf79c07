"""Files of records, each by its importer, and every configuration file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from gateway.node.config import CONFIG_FILE, load_config
from gateway.peers.roster import load_peer
from gateway.policy.grants import load_access
from gateway.records.intake.formats import open_records
from gateway.records.intake.rows import ImportFacts, Reading
from gateway.schemes import load_scheme
from tests.fuzz.keys import scratch
from tests.records.synthetic import RECORDS_KEY, learner_id, scheme

FACTS = ImportFacts(RECORDS_KEY, issuer_name="An institute", learner=learner_id(1))
DAY = datetime(2024, 6, 1, tzinfo=UTC)


def written(name: str, data: bytes) -> Path:
    path = scratch() / name
    path.write_bytes(data)
    return path


def importer(name: str) -> Callable[[bytes], None]:
    """Read a whole file as an import does, but for what it then does with each row."""
    reading = Reading(scheme(), FACTS, DAY)

    def run(data: bytes) -> None:
        file, rows = open_records(written(name, data), reading)
        try:
            for row in rows:
                assert repr(row)
            assert file.bytes_read <= max(file.bytes_total, len(data))
        finally:
            file.close()

    return run


def node_toml(data: bytes) -> None:
    load_config(written(CONFIG_FILE, data).parent)


def access(data: bytes) -> None:
    load_access(written("access.toml", data))


def peer(data: bytes) -> None:
    load_peer(written("zhejiang.toml", data), "shanghai")


def scheme_toml(data: bytes) -> None:
    load_scheme(written("scheme.toml", data))


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "access": access,
    "credential": importer("t.json"),
    "csv": importer("rows.csv"),
    "elmo": importer("t.xml"),
    "json-lines": importer("rows.jsonl"),
    "node-toml": node_toml,
    "peer": peer,
    "scheme": scheme_toml,
    "workbook": importer("rows.xlsx"),
}
