"""The lock files: they satisfy pyproject.toml, every package has its digests, and nothing says where from."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.lock.ask_weaknesses import NOT_KNOWN, judged
from deploy.lock.list_parts import list_of_parts, require_valid
from deploy.lock.reading import Locked, read_lock
from deploy.lock.renew import NODE, extras

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "deploy" / "lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@cache
def locked(name: str) -> dict[str, list[Locked]]:
    """Each package of one lock file, by name: a version for every Python, or one each."""
    found: dict[str, list[Locked]] = {}
    for package in read_lock(LOCK / f"{name}.txt"):
        found.setdefault(package.name, []).append(package)
    return found


def unmet(needs: list[str], *files: str) -> list[str]:
    """Requirements for which no line of ``files`` holds on some Python that the project runs on."""
    have = {name: lines for file in files for name, lines in locked(file).items()}
    missing = []
    for need in map(Requirement, needs):
        if need.name == PROJECT["name"]:
            continue
        for python in PYTHONS:
            environment = {"python_version": python, "python_full_version": f"{python}.0"}
            versions = [
                package.version
                for package in have.get(canonicalize_name(need.name), ())
                if (marker := package.requirement.marker) is None or marker.evaluate(environment)
            ]
            if len(versions) != 1 or not need.specifier.contains(versions[0], prereleases=True):
                missing.append(f"{need} on {python}: {versions}")
    return missing


def test_each_way_to_install_has_its_file_and_no_more() -> None:
    assert {path.stem for path in LOCK.glob("*.txt")} == {NODE, *extras()}
    assert set(extras()) == set(PROJECT["optional-dependencies"]) - {"dev"}


@pytest.mark.parametrize("extra", [None, *extras()])
def test_what_pyproject_wants_is_locked_in_a_version_that_it_accepts(extra: str | None) -> None:
    needs = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    assert unmet(needs, NODE, *([extra] if extra else [])) == []
    assert unmet(["protobuf>=9000", "nobody-needs-this"], NODE) != []


def test_files_that_are_installed_together_agree() -> None:
    chosen: dict[str, list[Locked]] = {}
    for name in (NODE, *extras()):
        for package, lines in locked(name).items():
            assert chosen.setdefault(package, lines) == lines, package
    assert not set(locked(NODE)) & {package for extra in extras() for package in locked(extra)}


def test_nothing_says_where_a_package_is_fetched_and_nothing_is_built() -> None:
    for path in LOCK.glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "index" not in text
        assert "\n--only-binary :all:\n" in text, path.name


@pytest.mark.parametrize(
    "line", ["one>=1 --hash=sha256:" + "0" * 64, "one==1", "one==1 --hash=md5:" + "0" * 32]
)
def test_a_line_that_leaves_a_choice_is_no_lock(line: str, tmp_path: Path) -> None:
    file = tmp_path / "node.txt"
    file.write_text(f"{line}\n")
    with pytest.raises(ValueError, match="is not one version with its digests"):
        read_lock(file)


def test_pip_keeps_out_a_package_whose_digest_is_another(tmp_path: Path) -> None:
    wheel = tmp_path / "invented_part-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "invented_part-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: invented-part\nVersion: 1.0\n",
        )
        archive.writestr("invented_part-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("invented_part-1.0.dist-info/RECORD", "")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"--only-binary :all:\n\ninvented-part==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--no-index", "--no-deps", "--quiet"]
    command += ["--find-links", str(tmp_path), "--target", str(tmp_path / "target"), "--require-hashes"]
    done = subprocess.run([*command, "-r", str(lock)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert sha256(wheel.read_bytes()).hexdigest() in done.stderr  # what it is, beside what it should be


def test_the_list_of_parts_is_valid_whole_and_the_same_twice() -> None:
    files = sorted(LOCK.glob("*.txt"))
    text = list_of_parts(files)
    assert text == list_of_parts(files)
    require_valid(list_of_parts([LOCK / "mysql.txt"]))  # all of it takes seconds: `make sbom` does
    with pytest.raises(ValueError, match="not valid"):
        require_valid('{"bomFormat": "?", "specVersion": "1.6"}')
    parts = json.loads(text)
    assert parts["metadata"]["component"]["version"] == PROJECT["version"]
    listed = {
        part["purl"]: {
            digest["content"] for source in part["externalReferences"] for digest in source["hashes"]
        }
        for part in parts["components"]
    }
    wanted = {
        f"pkg:pypi/{name}@{package.version}": set(package.digests)
        for file in (NODE, *extras())
        for name, packages in locked(file).items()
        for package in packages
    }
    assert listed == wanted
    (needs,) = [row["dependsOn"] for row in parts["dependencies"] if row["ref"] == PROJECT["name"]]
    assert {need.split("/")[1].split("@")[0] for need in needs} >= {"grpcio", "cryptography", "fastapi"}


def test_a_package_without_data_is_not_called_sound() -> None:
    sound = {"name": "one", "version": "1", "vulns": []}
    weak = {"name": "two", "version": "2", "vulns": [{"id": "CVE-2000-1", "fix_versions": ["3"]}]}
    assert judged([sound])[0] == 0
    status, lines = judged([sound, {"name": "three", "skip_reason": "not found"}])
    assert (status, lines[0]) == (NOT_KNOWN, "Not known: there is no data about 1 packages here (three).")
    status, lines = judged([sound, weak, {"name": "three", "skip_reason": "not found"}])
    assert (status, lines[0]) == (1, "two 2: CVE-2000-1, mended in 3")
