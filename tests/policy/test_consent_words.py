"""What the learner reads before signing names everything that is signed, in both languages."""

import pytest

from creditexchange.v1.consent_pb2 import Consent
from gateway.cli.audit_story import PURPOSES as PURPOSE_WORDS
from gateway.cli.audit_story import Language
from gateway.cli.consent_words import AUTHENTICATIONS, consent_text, kind_in
from gateway.policy.purposes import KINDS, PURPOSES
from tests.policy.test_consent import consent

NAMES = {
    "zhejiang": {"en": "Zhejiang Bank", "zh-Hans": "浙江学分银行"},
    "shanghai": {"zh-Hans": "上海学分银行"},
}


def text(language: Language, **changes: object) -> str:
    made: Consent = consent(**changes)
    return consent_text(made, NAMES, language)


@pytest.mark.parametrize("language", list(Language))
def test_everything_that_is_signed_is_read(language: Language) -> None:
    plain = text(language)
    for change in (
        {"asking_node_id": "anhui"},
        {"asking_organisation": "Somebody else"},
        {"answering_node_ids": ["shanghai", "anhui"]},
        {"answering_node_ids": [], "every_node_may_answer": True},
        {"purpose": PURPOSES["admission"]},
        {"kinds": [KINDS["course"]]},
        {"end_time": consent().start_time.ToDatetime().replace(year=2027)},
        {"authentication": AUTHENTICATIONS["province-account"]},
    ):
        assert text(language, **change) != plain, change


def test_nodes_are_called_by_their_names_where_they_have_one() -> None:
    assert "Zhejiang Bank (zhejiang) asks" in text(Language.en)
    assert "from:             shanghai" in text(Language.en)
    assert "上海学分银行 (shanghai)" in text(Language.zh)


def test_every_purpose_kind_and_authentication_has_words() -> None:
    for language in Language:
        assert set(PURPOSE_WORDS[language.value]) == set(PURPOSES)
        said = {text(language, authentication=value) for value in AUTHENTICATIONS.values()}
        assert len(said) == len(AUTHENTICATIONS)
    assert all(kind_in(Language.zh, kind) != word for word, kind in KINDS.items())
