"""A learning code as people see it: a QR code on the terminal or in a file, and what it permits in words."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from creditexchange.v1.operator_pb2 import IssueCodeRequest, IssuedCode
from gateway.cli.audit_story import PURPOSES, Language
from gateway.cli.consent_words import kind_in
from gateway.cli.output import console, say, table
from gateway.clock import from_unix_ms
from gateway.errors import CallerError
from gateway.policy.learning_code import parse_code
from gateway.policy.purposes import kind_word, purpose_word

ERROR_LEVEL = "m"
"""15 % of the QR code may be unreadable: a scratched screen, a finger."""
SCALE = 10
"""Pixels of a module in a PNG file."""
BORDER = 4
"""Modules of quiet zone around it, as ISO/IEC 18004 asks."""


def require_free(*paths: Path | None) -> None:
    """Return if no file is there yet. Raises ``CallerError``; nothing was issued."""
    for path in filter(None, paths):
        if path.exists():
            raise CallerError(f"{path} exists already.", remedy="Name another file; nothing was issued.")


def qr_code(text: str) -> Any:
    """Return the QR code of a learning code: alphanumeric mode, error level M, the smallest version."""
    import segno

    return segno.make(text, error=ERROR_LEVEL, boost_error=False, micro=False)


def terminal_text(text: str) -> str:
    """Return the QR code in half blocks, two modules a character."""
    drawn = io.StringIO()
    qr_code(text).terminal(drawn, border=BORDER, compact=True)
    return drawn.getvalue()


_WORDS: dict[Language, tuple[str, str, str, str, str]] = {
    Language.en: ("purpose:", "kinds:", "from:", "redeemable by:", "consent:"),
    Language.zh: ("用途：", "记录种类：", "提供方：", "可由其兑换：", "同意有效期："),
}


def code_words(request: IssueCodeRequest, language: Language) -> str:
    """Return what a code permits, for the learner to read: why, what, from whom, to whom, how long."""
    zh = language is Language.zh
    purpose = purpose_word(request.purpose)
    anybody = "任何机构（以先扫码者为准）" if zh else "whoever scans it first"
    every_node = "联盟内所有学分银行" if zh else "every credit bank of the federation"
    minutes = request.consent_minutes
    values = (
        PURPOSES[language.value].get(purpose, purpose),
        ", ".join(kind_in(language, kind) for kind in request.kinds),
        ", ".join(request.answering_node_ids) or every_node,
        _redeemer(request, zh=zh) or anybody,
        f"兑换后 {minutes} 分钟" if zh else f"for {minutes} minutes after it was redeemed",
    )
    width = 0 if zh else 15
    return "\n".join(f"{word:<{width}}{value}" for word, value in zip(_WORDS[language], values, strict=True))


def _redeemer(request: IssueCodeRequest, *, zh: bool) -> str:
    if request.redeeming_node_id:
        return f"{'节点 ' if zh else 'the node '}{request.redeeming_node_id}"
    if request.organisation:
        return f"{'机构 ' if zh else 'the organisation '}{request.organisation}"
    return ""


def show_code(text: str, expire_ms: int, png: Path | None, svg: Path | None) -> None:
    """Print a new code, and write it to files for this user only."""
    console.file.write(terminal_text(text))
    say(f"to type:       {parse_code(text).typed}")
    say(f"good until:    {from_unix_ms(expire_ms).isoformat(timespec='seconds')}, once")
    for path, kind in ((png, "png"), (svg, "svg")):
        if path is not None:
            write_image(text, path, kind)
            say(f"written to:    {path}")


def write_image(text: str, path: Path, kind: str) -> None:
    """Write the QR code as ``png`` or ``svg``; whoever reads the file can redeem the code.

    Raises:
        CallerError: the file is there already, or cannot be written.
    """
    drawn = io.BytesIO()
    qr_code(text).save(drawn, kind=kind, scale=SCALE, border=BORDER)
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(drawn.getvalue())
    except OSError as error:
        raise CallerError(
            f"{path} cannot be written: {error.strerror}.", remedy="The code stands above all the same."
        ) from error


def code_facts(code: IssuedCode) -> dict[str, Any]:
    """Return an issued code as members of a JSON object."""
    return {
        "code": code.code_id,
        "state": code.state,
        "issued": _time(code.issue_ms),
        "until": _time(code.expire_ms),
        "purpose": purpose_word(code.purpose) if code.purpose else None,
        "kinds": [kind_word(kind) for kind in code.kinds],
        "for_node": code.redeeming_node_id or None,
        "for_organisation": code.organisation or None,
        "redeemed_by": code.redeemed_by or None,
        "redeemed": _time(code.redeem_ms) if code.redeem_ms else None,
        "consent": code.consent_id.hex() or None,
    }


def show_codes(codes: list[IssuedCode]) -> None:
    """Print the codes as a table."""
    shown = table("code", "state", "until", "purpose", "kinds", "for", "redeemed by", "consent")
    for code in codes:
        facts = code_facts(code)
        shown.add_row(
            facts["code"],
            facts["state"],
            facts["until"],
            facts["purpose"] or "",
            ", ".join(facts["kinds"]),
            ", ".join(filter(None, (facts["for_node"], facts["for_organisation"]))) or "anybody",
            facts["redeemed_by"] or "",
            facts["consent"] or "",
        )
    console.print(shown)


def _time(milliseconds: int) -> str:
    return from_unix_ms(milliseconds).isoformat(timespec="seconds")
