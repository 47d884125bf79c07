"""C2SP signed-note v1.0.0: published notes verify, and everything that has another form is refused."""

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.signing.signed_note import (
    SIGNATURES_MAX,
    NoteError,
    NoteSigner,
    NoteVerifier,
    open_note,
    parse_note,
    sign_note,
)

# C2SP/C2SP signed-note.md
EXAMPLE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# golang/mod sumdb/note, example_test.go
NEUMANN_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
NEUMANN_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
# sum.golang.org, as served
GO_VKEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_NOTE = (
    "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n"
    "— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=\n"
)


def signer(name: str = "audit.example/2026", seed: int = 1) -> NoteSigner:
    return NoteSigner(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


@pytest.mark.parametrize(("vkey", "note"), [(EXAMPLE_VKEY, EXAMPLE), (GO_VKEY, GO_NOTE)])
def test_published_notes_verify(vkey: str, note: str) -> None:
    verifier = NoteVerifier.from_vkey(vkey)
    assert verifier.vkey == vkey
    text, verified = open_note(note, [verifier])
    assert verified == (verifier,)
    assert open_note(note.encode(), [verifier])[0] == text


def test_published_signature_is_reproduced() -> None:
    neumann = NoteSigner("PeterNeumann", Ed25519PrivateKey.from_private_bytes(NEUMANN_SEED))
    assert neumann.verifier.vkey == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert sign_note(NEUMANN_TEXT, [neumann]) == (
        NEUMANN_TEXT
        + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.just("\n"), max_size=200))
def test_any_text_comes_back(text: str) -> None:
    key = signer()
    assert open_note(sign_note(text + "\n", [key]), [key.verifier])[0] == text + "\n"


def test_lines_by_unknown_keys_are_ignored() -> None:
    keys = [signer(seed=n + 1) for n in range(16)]
    note = sign_note("text\n", keys)
    assert open_note(note, [keys[3].verifier])[1] == (keys[3].verifier,)
    assert len(parse_note(note).signatures) == 16


def test_a_known_key_that_fails_rejects_the_note() -> None:
    good, other = signer(), signer("witness.example", 2)
    note = sign_note("text\n", [good])
    forged = note + sign_note("another text\n", [other]).split("\n\n")[1]
    assert open_note(forged, [good.verifier])[1] == (good.verifier,)
    with pytest.raises(NoteError, match="does not verify"):
        open_note(forged, [good.verifier, other.verifier])


def test_no_known_key_is_an_error() -> None:
    with pytest.raises(NoteError, match="no signature line"):
        open_note(sign_note("text\n", [signer()]), [signer(seed=2).verifier])


def test_same_key_under_another_name_is_unknown() -> None:
    with pytest.raises(NoteError, match="no signature line"):
        open_note(sign_note("text\n", [signer("a.example")]), [signer("b.example").verifier])


LINE = signer().signature_line("text\n")
SIGNED = b64decode(LINE.split(" ")[2])


def _with(line: str) -> str:
    return f"text\n\n{line}"


BAD_NOTES = {
    "no empty line": "text\n" + LINE,
    "no signature line": "text\n\n",
    "no final line feed": _with(LINE[:-1]),
    "carriage returns": _with(LINE).replace("\n", "\r\n"),
    "a tab": _with(LINE).replace("text", "te\txt"),
    "a zero byte": _with(LINE).replace("text", "te\0xt"),
    "the same key twice": _with(LINE + LINE),
    "a hyphen for the dash": _with(LINE.replace("— ", "- ")),
    "two spaces after the dash": _with(LINE.replace("— ", "—  ")),
    "two spaces before the signature": _with(LINE.replace("2026 ", "2026  ")),
    "a trailing space": _with(LINE.replace("\n", " \n")),
    "a name with a plus sign": _with(LINE.replace("2026", "20+26")),
    "no name": _with(LINE.replace("audit.example/2026", "")),
    "a name with a no-break space": _with(LINE.replace("audit", "au\u00a0dit")),
    "base64 without padding": _with(LINE.replace("=", "")),
    "base64 for URLs": _with("— audit.example/2026 " + b64encode(b"\xff" * 68, b"-_").decode() + "\n"),
    "base64 with leftover bits": _with(
        LINE.replace(LINE.split(" ")[2], b64encode(b"12345").decode()[:-2] + "V=\n")
    ),
    "only a key id": _with("— audit.example/2026 " + b64encode(SIGNED[:4]).decode() + "\n"),
    "too many lines": _with(
        "".join(signer(seed=n + 1).signature_line("text\n") for n in range(SIGNATURES_MAX + 1))
    ),
    "too long": "x" * 200_000 + "\n\n" + LINE,
    "a lone surrogate": _with(LINE).replace("text", "te\ud800xt"),
}


@pytest.mark.parametrize("note", BAD_NOTES.values(), ids=BAD_NOTES)
def test_other_forms_are_refused(note: str) -> None:
    with pytest.raises(NoteError):
        parse_note(note)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(NoteError, match="UTF-8"):
        parse_note(_with(LINE).encode().replace(b"text", b"te\xffxt"))


@given(st.data())
def test_no_changed_character_goes_unnoticed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(EXAMPLE) - 1))
    other = data.draw(st.characters().filter(lambda c: c != EXAMPLE[at]))
    with pytest.raises(NoteError):
        open_note(EXAMPLE[:at] + other + EXAMPLE[at + 1 :], [NoteVerifier.from_vkey(EXAMPLE_VKEY)])


@pytest.mark.parametrize(
    "vkey",
    [
        "example.com/foo",
        "example.com/foo+530d903a",
        EXAMPLE_VKEY.replace("530d903a", "530d903b"),
        EXAMPLE_VKEY.replace("530d903a", "530D903A"),
        EXAMPLE_VKEY.replace("foo", "bar"),
        EXAMPLE_VKEY[:-4],
        EXAMPLE_VKEY + "=",
        "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_malformed_verifier_keys_are_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        NoteVerifier.from_vkey(vkey)


@pytest.mark.parametrize("text", ["", "no line feed", "a\x07bell\n"])
def test_what_cannot_be_read_back_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign_note(text, [signer()])


def test_a_signer_does_not_show_its_key() -> None:
    assert "private" not in repr(signer()).lower()
