import tomllib
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.node.config import NodeConfig, load_config

PROVINCES = sorted((Path(__file__).parents[2] / "node_config").glob("*/node.toml"))


def written(tmp_path: Path, change) -> Path:
    text = PROVINCES[0].read_text(encoding="utf-8")
    (tmp_path / "node.toml").write_text(change(text), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("path", PROVINCES, ids=lambda p: p.parent.name)
def test_every_example_loads(path: Path) -> None:
    assert load_config(path.parent).node.id == path.parent.name


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.replace('id = "anhui"', 'id = "An Hui"'), "node.id: write 2 to 32 characters"),
        (lambda t: t.replace("[listen]", "[lissten]"), "lissten: unknown key; did you mean 'listen'"),
        (lambda t: t.replace("peers = ", "peer = "), "listen.peer: unknown key; did you mean 'peers'"),
        (lambda t: t.replace("peers = ", "peer = "), "listen.peers: this key is needed"),
        (lambda t: t.replace('operator = "127.0.0.1', 'operator = "0.0.0.0'), "only a loopback address"),
        (lambda t: t.replace(':17142"', ':99999"'), 'listen.metrics: write "host:port"'),
        (lambda t: t.replace('epochs = ["2026"]', 'epochs = ["1", "2", "3"]'), "federation.epochs"),
        (lambda t: t + '\n[database]\nurl = "mysql://x"\n', "database.url: write sqlite"),
        (lambda t: t + "\n[exchange]\nskew_s = 3600\n", "exchange.skew_s"),
        (lambda t: t + '\n[limits]\nthreads = "many"\n', "limits.threads"),
        (lambda t: t + "\n[limits\n", "no TOML"),
    ],
)
def test_a_problem_names_file_key_and_what_would_be_right(tmp_path: Path, change, complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, change))
    assert complaint in str(error.value)
    assert "node.toml" in str(error.value)


def test_all_problems_come_in_one_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, lambda t: t.replace('"anhui"', '"A"').replace("metrics", "metric")))
    assert "node.id" in str(error.value)
    assert "listen.metric" in str(error.value)


def test_a_folder_without_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no node's folder"):
        load_config(tmp_path)


def test_what_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path)


def test_every_setting_has_its_meaning_in_the_schema() -> None:
    schema = NodeConfig.model_json_schema()
    for name, table in schema["$defs"].items():
        for key, facts in table.get("properties", {}).items():
            assert facts.get("description") or "$ref" in facts, f"{name}.{key} has no meaning"


def test_examples_do_not_share_ports() -> None:
    ports = [v for p in PROVINCES for v in tomllib.loads(p.read_text(encoding="utf-8"))["listen"].values()]
    assert len(set(ports)) == len(ports) == 12


def test_the_rule_for_every_peer_names_suites_of_the_table() -> None:
    from typing import get_args

    from gateway.node.config import SuiteName
    from gateway.peers.roster import PeerFile
    from gateway.signing.suites import SUITES_BY_NAME

    assert list(get_args(SuiteName)) == list(SUITES_BY_NAME)
    annotation = PeerFile.model_fields["required_suites"].annotation
    assert get_args(get_args(annotation)[0]) == get_args(SuiteName)
