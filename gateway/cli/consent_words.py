"""A consent in the words that are read to the learner before it is signed, in English or Chinese."""

from __future__ import annotations

from datetime import UTC, datetime

from creditexchange.v1.consent_pb2 import Consent, LearnerAuthentication
from gateway.cli.audit_story import PURPOSES, Language, Names
from gateway.policy.purposes import kind_word, purpose_word

_PREFIX = "LEARNER_AUTHENTICATION_"
AUTHENTICATIONS = {
    name.removeprefix(_PREFIX).lower().replace("_", "-"): value
    for name, value in LearnerAuthentication.items()
    if value != 0
}
"""How a learner is authenticated, by word, for example ``in-person``."""

_AUTHENTICATION_WORDS = {value: word for word, value in AUTHENTICATIONS.items()}
_HOW: dict[Language, dict[str, str]] = {
    Language.en: {
        "in-person": "in person, with an identity document",
        "national-identity": "by the national network identity authentication service",
        "province-account": "by a real-name account of the province's public services",
        "institution-account": "by an account of the learner's institution",
        "guardian-in-person": "by the guardian, in person, with documents",
    },
    Language.zh: {
        "in-person": "本人到场并出示身份证件",
        "national-identity": "国家网络身份认证公共服务",
        "province-account": "省级政务服务实名账号",
        "institution-account": "所在院校或机构的账号",
        "guardian-in-person": "监护人到场并出示证件",
    },
}
_KINDS_ZH = {
    "degree": "学位",
    "graduation": "毕业（学历）证书",
    "course": "课程成绩与学分",
    "module": "模块",
    "unit": "学习单元",
    "vocational-qualification": "职业资格证书",
    "skill-level": "职业技能等级证书",
    "x-certificate": "“1+X”证书",
    "training": "培训",
    "experience": "工作经历",
    "competition": "竞赛",
    "leisure": "休闲文化学习",
}
"""What each kind is called; a test keeps it complete."""


def consent_text(consent: Consent, names: Names, language: Language) -> str:
    """Return what the learner agrees to: who, for whom, from whom, why, what, until when, and what then."""
    if language is Language.zh:
        return _chinese(consent, names)
    return _english(consent, names)


def kind_in(language: Language, kind: int) -> str:
    """Return what a kind of record is called."""
    word = kind_word(kind)
    return _KINDS_ZH.get(word, word) if language is Language.zh else word.replace("-", " ")


def _english(consent: Consent, names: Names) -> str:
    language = Language.en
    purpose = purpose_word(consent.purpose)
    answerers = (
        "every credit bank of the federation"
        if consent.every_node_may_answer
        else ", ".join(_name(node, names, language) for node in consent.answering_node_ids)
    )
    return "\n".join(
        [
            f"I consent that {_name(consent.asking_node_id, names, language)} asks for my learning records",
            f"  on behalf of:     {consent.asking_organisation}",
            f"  from:             {answerers}",
            f"  for the purpose:  {PURPOSES['en'].get(purpose, purpose)}",
            f"  kinds of record:  {', '.join(kind_in(language, kind) for kind in consent.kinds)}",
            f"  until:            {_instant(consent)} UTC",
            f"Who I am was made sure {_how(consent, language)}.",
            "I can take this consent back at any time, as easily as I give it; what was given before then",
            "stays given. Another purpose or recipient needs another consent. The nodes concerned keep an",
            "encrypted record of each answer for three years as proof, and erase it earlier at my request.",
        ]
    )


def _chinese(consent: Consent, names: Names) -> str:
    language = Language.zh
    purpose = purpose_word(consent.purpose)
    answerers = (
        "联盟内的所有学分银行"
        if consent.every_node_may_answer
        else "、".join(_name(node, names, language) for node in consent.answering_node_ids)
    )
    return "\n".join(
        [
            f"本人单独同意由{_name(consent.asking_node_id, names, language)}查询本人的学习记录",
            f"  接收方（委托机构）：{consent.asking_organisation}",
            f"  提供方：{answerers}",
            f"  处理目的：{PURPOSES['zh'].get(purpose, purpose)}",
            f"  记录种类：{'、'.join(kind_in(language, kind) for kind in consent.kinds)}",
            f"  有效期至：{_instant(consent)}（UTC）",
            f"身份核验方式：{_how(consent, language)}。",
            "本人可随时撤回同意，撤回与给予同样便捷；撤回前已提供的记录不受影响。变更目的或接收方须重新取得同意。",
            "有关节点将每次提供的内容加密留存三年以备查证，经本人请求可提前删除。",
        ]
    )


def _instant(consent: Consent) -> str:
    moment: datetime = consent.end_time.ToDatetime(UTC)
    return moment.strftime("%Y-%m-%d %H:%M")


def _how(consent: Consent, language: Language) -> str:
    word = _AUTHENTICATION_WORDS.get(consent.authentication, "")
    return _HOW[language].get(word, word)


def _name(node_id: str, names: Names, language: Language) -> str:
    known = names.get(node_id, {})
    tags = [tag for tag in known if tag.split("-")[0] == language.value]
    return f"{known[tags[0]]} ({node_id})" if tags else node_id
