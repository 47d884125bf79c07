"""Measures at the doors of console and portal, of files that leave and come back, and between workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.mutations.patching import Mutation, first, nothing, patched, yes


class Everybody:
    """A collection in which everything is."""

    def __contains__(self, _item: object) -> bool:
        return True


def any_host() -> None:
    from gateway.web.site.security import Fence

    real = Fence.__call__

    async def call(self: Fence, *how: Any) -> None:
        await real(replace(self, hosts=Everybody()), *how)  # type: ignore[arg-type]

    Fence.__call__ = call  # type: ignore[method-assign]


def text_as_markup() -> None:
    import jinja2

    real = jinja2.Environment.__init__

    def prepare(self: jinja2.Environment, **how: Any) -> None:
        real(self, **(how | {"autoescape": False}))

    jinja2.Environment.__init__ = prepare  # type: ignore[method-assign]


def any_issuer() -> None:
    """Whoever a document names is asked."""
    from urllib.parse import unquote

    from gateway.web.portal import checking

    real = checking.Checker.check

    def check(self: checking.Checker, content: bytes, passphrase: str) -> checking.Checked:
        did = checking._read(content, passphrase).issuer
        domain = unquote(did.removeprefix("did:web:"))
        named = checking.KnownIssuer("stranger", domain, f"http://{domain}")
        return real(replace(self, issuers=[named]), content, passphrase)

    checking.Checker.check = check  # type: ignore[method-assign]


def links_for_ever() -> None:
    from gateway.web.console import links

    class Kept(dict[bytes, Any]):
        def pop(self, key: bytes, *default: Any) -> Any:
            return self.get(key, *default)

    real = links.OneTimeLinks.__init__

    def prepare(self: links.OneTimeLinks, *given: Any, **how: Any) -> None:
        real(self, *given, **how)
        self._pending = Kept()

    links.OneTimeLinks.__init__ = prepare  # type: ignore[method-assign]


def whole_list(encoded: str) -> bytes:
    import gzip
    from base64 import urlsafe_b64decode

    return gzip.decompress(urlsafe_b64decode(encoded[1:] + "=" * (-len(encoded[1:]) % 4)))


def claims_twice() -> None:
    from gateway.storage import code_rows

    real = code_rows.claim_code
    code_rows.claim_code = lambda *how: real(*how) or True


MUTATIONS: Mapping[str, Mutation] = {
    "forms-from-here": Mutation(
        patched("gateway.web.site.security:Fence._is_own", yes),
        (
            "tests/attacks/test_portal_door.py::test_a_form_of_another_site_redeems_no_code",
            "tests/web/test_console_security.py::test_a_form_of_another_site_does_nothing",
        ),
    ),
    "form-tokens": Mutation(
        patched("gateway.web.console.visits:is_csrf_token", yes),
        ("tests/web/test_console_security.py::test_a_form_of_another_site_does_nothing",),
    ),
    "known-hosts": Mutation(
        any_host,
        (
            "tests/attacks/test_portal_door.py::test_a_name_that_was_pointed_here_gets_nothing",
            "tests/web/test_console_security.py::test_another_name_for_this_address_is_refused",
        ),
    ),
    "page-policy": Mutation(
        patched("gateway.web.site.security:HEADERS", {}),
        (
            "tests/attacks/test_portal_door.py::test_every_answer_carries_the_policy_and_no_path_leaves_the_folder",
            "tests/web/test_console_security.py::test_every_answer_carries_the_policy_and_no_page_needs_an_exception",
        ),
    ),
    "markup-escaped": Mutation(
        text_as_markup,
        ("tests/web/test_console_security.py::test_what_a_visitor_writes_comes_back_as_text",),
    ),
    "links-once": Mutation(
        links_for_ever,
        ("tests/web/test_console_security.py::test_a_link_signs_in_once_here_and_for_ten_minutes",),
    ),
    "session-names": Mutation(
        patched("gateway.web.site.sessions:_digest", lambda _name: b""),
        ("tests/web/test_console_security.py::test_a_planted_session_is_never_adopted",),
    ),
    "checks-a-minute": Mutation(
        patched("gateway.web.portal.verify_page:Rate.take", nothing),
        ("tests/attacks/test_portal_door.py::test_checks_are_bounded_whoever_asks",),
    ),
    "known-issuers": Mutation(
        any_issuer,
        (
            "tests/attacks/test_portal_door.py::test_a_document_makes_the_portal_call_nobody_whom_its_operator_does_not_know",
        ),
    ),
    "status-lists-bounded": Mutation(
        patched("gateway.web.portal.checking:_unpacked", whole_list),
        ("tests/attacks/test_portal_door.py::test_a_status_list_that_unpacks_without_end_is_cut_off",),
    ),
    "bodies-bounded": Mutation(
        patched("gateway.web.site.security:BODY_BYTES_MAX", 1 << 62),
        ("tests/web/test_console_security.py::test_a_body_is_bounded",),
    ),
    "one-select": Mutation(
        patched("gateway.storage.foreign_database:check_select", first),
        ("tests/sources/test_sql_source.py::test_only_one_select_of_one_learner_is_taken",),
    ),
    "codes-once": Mutation(
        claims_twice,
        ("tests/engines/test_learning_codes.py::test_a_code_is_claimed_once_and_only_while_it_is_good",),
    ),
    "quota-at-once": Mutation(
        patched("gateway.audit.log:without_overdrawn", lambda _transaction, appends, *_: appends),
        ("tests/engines/test_quota.py::test_of_many_answers_at_once_exactly_the_quota_is_given",),
    ),
}
"""By name; docs/threat-model.md names each beside its threat."""
