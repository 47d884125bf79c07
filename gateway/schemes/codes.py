"""Codes of institutions, disciplines and certificates: from the province's lists to shared ones and back.

Only a declared list says that two codes mean the same. A code that stands in a shared list already is
carried as it is; a code of a list that the scheme does not know makes no entry and stays where it was.
"""

from __future__ import annotations

from creditexchange.v1.record_pb2 import (
    CODE_LIST_CERTIFICATE,
    CODE_LIST_DISCIPLINE,
    CODE_LIST_INSTITUTION,
    LOSS_MERGED,
    LOSS_NO_RULE,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNTRANSLATED,
    LearningRecord,
    LocalView,
)
from gateway.schemes.local_record import LocalRecord
from gateway.schemes.scheme import Scheme
from gateway.schemes.shared_words import CODE_LISTS

UNNAMED = "local"
"""What records call a province's own list of institutions when they do not name it."""


def add_codes(record: LocalRecord, scheme: Scheme, shared: LearningRecord) -> None:
    """Add an entry for each code of ``record`` that stands in a list the scheme knows."""
    for of, name, code in (
        (CODE_LIST_INSTITUTION, record.issuer_code_scheme or UNNAMED, record.issuer_code),
        (CODE_LIST_DISCIPLINE, record.field_scheme or UNNAMED, record.field_code),
        (CODE_LIST_CERTIFICATE, "", record.certificate_code),
    ):
        if code and ((of, name) in scheme.code_lists or (of, name) in scheme.code_lists_by_shared):
            place = len(shared.codes)
            shared.MergeFrom(scheme.shared_parts.get(code_part, scheme, int(of), name, code, place))


def code_part(scheme: Scheme, of: int, name: str, code: str, place: int) -> LearningRecord:
    """Return the part that one code makes; ``name`` is the list in which it stands."""
    part = LearningRecord()
    value = part.codes.add(as_issued=code)
    value.list = of  # type: ignore[assignment]
    rules, path = scheme.code_lists.get((of, name)), f"codes[{place}].code"
    if rules is None:
        value.state, value.shared_list, value.code = VALUE_STATE_TRANSLATED, name, code
        table = f"code_list.{CODE_LISTS.word(of)}.{name}"
        part.trace.append(scheme.applied(path, code, code, (table, code), note="it is a shared code already"))
        return part
    value.shared_list = rules.shared
    found = rules.codes.get(code)
    if found is None:
        value.state = VALUE_STATE_UNTRANSLATED
        note = "the list has no such code"
        part.trace.append(scheme.applied(path, code, "", (rules.table, ""), loss=LOSS_NO_RULE, note=note))
        return part
    value.state, value.code = VALUE_STATE_TRANSLATED, found
    loss, note, first = 0, "", rules.words[found]
    if code in rules.successors:
        note = f"continued by {rules.successors[code]}"
    if first != code:
        loss, note = (
            LOSS_MERGED,
            note or f"several words of the scheme mean this; shown again it reads {first}",
        )
    part.trace.append(scheme.applied(path, code, found, (rules.table, code), loss=loss, note=note))
    return part


def code_view(
    scheme: Scheme, index: int, of: int, shared_list: str, code: str, as_issued: str, own: str
) -> LocalView:
    """Return the part of a view that one code makes; ``own`` is the code if it was issued in this scheme."""
    view, path = LocalView(), f"codes[{index}]"
    value = view.codes.add()
    rules = scheme.code_lists_by_shared.get((of, shared_list))
    word = ""
    if rules is not None and code:
        word = own if own and rules.codes.get(own) == code else rules.words.get(code, "")
    if rules is None or not word:
        value.state = VALUE_STATE_UNTRANSLATED
        table = rules.table if rules is not None else f"code_list.{CODE_LISTS.word(of)}"
        note = "the list has no such code"
        if rules is None:
            note = f"the scheme has no list for {shared_list}"
        elif not code:
            note = "the source's own rules gave no shared code"
        view.trace.append(scheme.applied(path, as_issued, "", (table, ""), loss=LOSS_NO_RULE, note=note))
        return view
    value.state, value.value, value.unit = VALUE_STATE_TRANSLATED, word, f"{scheme.scheme_id}/{rules.table}"
    view.trace.append(scheme.applied(path, code, word, (rules.table, word)))
    return view
