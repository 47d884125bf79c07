"""Entries of the audit log as sentences for the person whom they are about."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from gateway.audit.entry import EntryDraft, parse_leaf
from gateway.clock import from_unix_ms
from gateway.storage.audit_rows import EntryRow

Names = Mapping[str, Mapping[str, str]]
"""Names for people by node id and language tag."""


class Language(str, Enum):  # noqa: UP042 - typer shows the values of str enums
    """Languages of sentences."""

    en = "en"
    zh = "zh"


PURPOSES: dict[str, dict[str, str]] = {
    "en": {
        "employment": "a job application",
        "admission": "admission to a programme of study",
        "credit-transfer": "transfer of credits",
        "personal-archive": "the person's own archive",
        "qualification-check": "a check of a qualification",
        "public-service": "a public service",
    },
    "zh": {
        "employment": "求职",
        "admission": "入学",
        "credit-transfer": "学分转换",
        "personal-archive": "个人档案",
        "qualification-check": "资格核验",
        "public-service": "公共服务",
    },
}
"""What each purpose is called; the words of the closed list."""


_CODE_STORIES: dict[str, dict[Language, str]] = {
    "code-issue": {
        Language.en: "{time} UTC: a learning code was made here for this person, for {purpose}.",
        Language.zh: "{time}（UTC）：本节点为此人生成了学习码，用途：{purpose}。",
    },
    "code-redemption": {
        Language.en: "{time} UTC: this person's learning code, made by {peer}, was redeemed here, for "
        "{purpose}.",
        Language.zh: "{time}（UTC）：此人由{peer}签发的学习码在本节点兑换，用途：{purpose}。",
    },
    "code-refusal": {
        Language.en: "{time} UTC: {peer} presented this person's learning code and was refused ({purpose}).",
        Language.zh: "{time}（UTC）：{peer}出示了此人的学习码，被拒绝（{purpose}）。",
    },
}
"""What happened to a learning code, by action."""


def sentence(row: EntryRow, draft: EntryDraft, names: Names, language: Language) -> str:
    """Return who asked whom, when, for what, and what was given.

    ``draft`` is the entry as it concerns this person: in bulk with their own records only.
    """
    entry = parse_leaf(row.leaf)
    time = from_unix_ms(entry.logged_at_ms).strftime("%Y-%m-%d %H:%M")
    asker, answerer = _name(draft.asker, names, language), _name(draft.answerer, names, language)
    if draft.action == "consent-grant":
        purpose = PURPOSES[language.value].get(draft.reason, draft.reason)
        if draft.peer:  # a learning code that the peer redeemed
            peer = _name(draft.peer, names, language)
            if language is Language.zh:
                return f"{time}（UTC）：{peer}兑换了此人的学习码，此人由此同意查询，用途：{purpose}。"
            return f"{time} UTC: {peer} redeemed this person's learning code and may ask, for {purpose}."
        if language is Language.zh:
            return f"{time}（UTC）：此人在本节点同意查询，用途：{purpose}。"
        return f"{time} UTC: this person gave consent here, for {purpose}."
    if draft.action in _CODE_STORIES:
        purpose = PURPOSES[language.value].get(draft.reason, draft.reason)
        peer = _name(draft.peer, names, language)
        return _CODE_STORIES[draft.action][language].format(time=time, purpose=purpose, peer=peer)
    purpose = PURPOSES[language.value].get(draft.purpose, draft.purpose)
    what = _what(draft, language)
    if language is Language.zh:
        return f"{time}（UTC）：{asker}向{answerer}查询了此人的学习记录，用途：{purpose}。{what}"
    return f"{time} UTC: {asker} asked {answerer} about this person, for {purpose}. {what}"


def story_json(row: EntryRow, draft: EntryDraft, names: Names, language: Language) -> dict[str, Any]:
    """Return the same as members of a JSON object."""
    entry = parse_leaf(row.leaf)
    return {
        "index": row.idx,
        "time": from_unix_ms(entry.logged_at_ms).isoformat(timespec="seconds"),
        "asker": draft.asker,
        "answerer": draft.answerer,
        "purpose": draft.purpose or draft.reason,
        "outcome": draft.outcome,
        "records": draft.count,
        "exchange": draft.exchange_id.hex(),
        "text": sentence(row, draft, names, language),
    }


def _what(draft: EntryDraft, language: Language) -> str:
    zh = language is Language.zh
    if draft.outcome == "OK":
        if not draft.count:
            return "没有查到记录。" if zh else "No records were found."
        return f"提供了 {draft.count} 条记录。" if zh else f"{draft.count} records were given."
    if draft.kind == "no-answer":
        return "没有得到答复，未提供任何记录。" if zh else "No answer came; nothing was given."
    if zh:
        return f"查询被拒绝（{draft.outcome}），未提供任何记录。"
    return f"It was refused ({draft.outcome}); nothing was given."


def _name(node_id: str, names: Names, language: Language) -> str:
    known = names.get(node_id, {})
    tags = [tag for tag in known if tag.split("-")[0] == language.value]
    return known[tags[0]] if tags else node_id
