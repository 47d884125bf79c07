"""docs/peers.md lists every finding and every step that the doctor can come to."""

import re
from pathlib import Path

import gateway.doctor
from gateway.doctor.refusals import OUTCOMES, REFUSALS

PAGE = (Path(__file__).parents[2] / "docs" / "peers.md").read_text(encoding="utf-8")
SOURCE = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted(Path(gateway.doctor.__file__).parent.glob("*.py"))
)


def test_every_finding_is_explained() -> None:
    literals = set(re.findall(r'"([A-Z]{2,}(?:_[A-Z0-9]+)+)"', SOURCE))
    of_openssl = {word for word in literals if "_ALERT_" in word}
    not_findings = {
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "UNKNOWN_PROTOCOL",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNEXPECTED_EOF_WHILE_READING",
        "UNSUPPORTED_PROTOCOL",
        "CLOCK_SKEW",
        "MESSAGE_EXPIRED",
        "REASON_INTERNAL",
    }
    findings = (literals - of_openssl - not_findings) | set(REFUSALS) | set(OUTCOMES)
    listed = set(re.findall(r"`([A-Z]{2,}(?:_[A-Z0-9]+)*)`", PAGE)) - {"PEER_IN_MAINTENANCE"}
    assert findings == listed


def test_every_step_is_explained() -> None:
    table = PAGE.split("| step | what it looks at |")[1].split("\n\n")[0]
    explained = set(re.findall(r"`([a-z ]+)`", table))
    named = set(re.findall(r'^[A-Z][A-Z_, ]* = ((?:"[a-z ]+",? ?)+)$', SOURCE, re.MULTILINE))
    steps = {step for names in named for step in re.findall(r'"([a-z ]+)"', names)}
    assert steps | {"message size"} == explained
