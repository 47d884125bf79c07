"""Checkpoints and cosignatures by keys of every suite that may sign them."""

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest

from gateway.signing.cosignature import CosignatureSigner, CosignatureVerifier, cosignatures_of
from gateway.signing.signed_note import NoteError, NoteSigner, NoteVerifier, open_note, sign_note
from gateway.signing.suites import ECDSA_P256, ED25519, ML_DSA_65, SM2, SigningKey

NAME = "audit.zhejiang.example/2026"
TEXT = f"{NAME}\n5\nAAAA\n"
COMPACT = (ED25519, ECDSA_P256, SM2)
by_suite = pytest.mark.parametrize("suite", COMPACT, ids=lambda suite: suite.name)


@by_suite
def test_a_note_and_a_cosignature_survive_their_text(suite) -> None:
    signer = NoteSigner(NAME, SigningKey.generate(suite).private)
    witness = CosignatureSigner("audit.anhui.example/witness", SigningKey.generate(suite).private)
    note = sign_note(TEXT, [signer]) + witness.signature_line(TEXT, 1_764_000_000)
    verifier = NoteVerifier.from_vkey(signer.verifier.vkey)
    assert open_note(note, [verifier]) == (TEXT, (verifier,))
    (found,) = cosignatures_of(note, [CosignatureVerifier.from_vkey(witness.verifier.vkey)])
    assert found.time_s == 1_764_000_000
    with pytest.raises(NoteError, match="does not verify"):
        open_note(note.replace("\n5\n", "\n6\n"), [verifier])


@by_suite
def test_a_signature_says_nothing_in_the_other_use(suite) -> None:
    """One key in both uses: neither line passes for the other."""
    private = SigningKey.generate(suite).private
    signer, witness = NoteSigner(NAME, private), CosignatureSigner(NAME, private)
    with pytest.raises(NoteError, match="no signature line"):
        open_note(TEXT + "\n" + witness.signature_line(TEXT, 1), [signer.verifier])
    assert cosignatures_of(sign_note(TEXT, [signer]), [witness.verifier]) == []
    with pytest.raises(NoteError, match="type"):
        NoteVerifier.from_vkey(witness.verifier.vkey)
    with pytest.raises(NoteError, match="type"):
        CosignatureVerifier.from_vkey(signer.verifier.vkey)


@pytest.mark.parametrize("suite", [ECDSA_P256, SM2], ids=lambda suite: suite.name)
def test_the_verifier_key_is_as_the_protocol_says(suite) -> None:
    key = SigningKey.generate(suite)
    content = b"\xffcredit-exchange/note/v1/" + suite.name.encode() + b"\n" + key.verifying.spki
    key_id = sha256(NAME.encode() + b"\n" + content).hexdigest()[:8]
    assert NoteSigner(NAME, key.private).verifier.vkey == f"{NAME}+{key_id}+{b64encode(content).decode()}"


def vkey_of(content: bytes) -> str:
    key_id = sha256(NAME.encode() + b"\n" + content).hexdigest()[:8]
    return f"{NAME}+{key_id}+{b64encode(content).decode()}"


def test_a_key_under_another_suite_s_name_is_refused() -> None:
    sm2, p256 = SigningKey.generate(SM2).verifying.spki, SigningKey.generate(ECDSA_P256).verifying.spki
    ed25519, long = SigningKey.generate().verifying.spki, SigningKey.generate(ML_DSA_65).verifying.spki
    start = b"\xffcredit-exchange/note/v1/"
    for content in (
        start + b"sm2\n" + p256,
        start + b"ecdsa-p256\n" + sm2,
        start + b"ed25519\n" + ed25519,
        start + b"ml-dsa-65\n" + long,
        start + b"sm2\n" + sm2[:-1],
        start + b"sm2\n" + sm2 + b"\0",
        start + b"sm2" + sm2,
        b"\x02" + p256,
        b"\xff" + sm2,
        b"\xff",
    ):
        with pytest.raises(NoteError):
            NoteVerifier.from_vkey(vkey_of(content))


def test_a_long_signature_is_refused_in_notes() -> None:
    with pytest.raises(NoteError, match="too long"):
        NoteSigner(NAME, SigningKey.generate(ML_DSA_65).private)


def test_a_note_with_a_line_of_another_suite_is_read_by_who_knows_one() -> None:
    """How a public verifier sees a checkpoint that bears an SM2 line beside its own."""
    known, other = (NoteSigner(NAME, SigningKey.generate(suite).private) for suite in (ED25519, SM2))
    note = sign_note(TEXT, [known, other])
    assert open_note(note, [known.verifier])[1] == (known.verifier,)
    assert open_note(note, [known.verifier, other.verifier])[1] == (known.verifier, other.verifier)
    line = note.splitlines()[-1].rsplit(" ", 1)[1]
    assert len(b64decode(line)) > 4 + 64
