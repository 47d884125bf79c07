"""C2SP cosignatures, against a published vector and against everything that may be wrong with a line."""

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.signing.cosignature import TIME_S_MAX, CosignatureSigner, CosignatureVerifier, cosignatures_of
from gateway.signing.signed_note import NoteError, NoteSigner, sign_note

# FiloSottile/sunlight, cmd/skylight/testdata (tests/vectors/SOURCES.md)
VKEY = "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"
TEXT = "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n"
LINE = (
    "— witness.example.org uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4LGvqKqLX8jWlw"
    "LKasxEGTLIqAVusneCBmBw==\n"
)

WITNESS = CosignatureSigner("audit.anhui.example/witness", Ed25519PrivateKey.from_private_bytes(b"\3" * 32))
LOG = NoteSigner("audit.zhejiang.example/2026", Ed25519PrivateKey.from_private_bytes(b"\4" * 32))
CHECKPOINT = "audit.zhejiang.example/2026\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"


def test_the_published_cosignature_verifies() -> None:
    verifier = CosignatureVerifier.from_vkey(VKEY)
    assert verifier.vkey == VKEY
    (found,) = cosignatures_of(f"{TEXT}\n{LINE}", [verifier])
    assert (found.name, found.time_s, found.line) == ("witness.example.org", 1767139200, LINE)


def test_the_published_line_is_of_no_other_text() -> None:
    with pytest.raises(NoteError, match="does not verify"):
        cosignatures_of(f"{TEXT.replace('300', '301')}\n{LINE}", [CosignatureVerifier.from_vkey(VKEY)])


@given(st.integers(0, TIME_S_MAX))
def test_what_is_signed_verifies_with_its_time(time_s: int) -> None:
    note = sign_note(CHECKPOINT, [LOG]) + WITNESS.signature_line(CHECKPOINT, time_s)
    (found,) = cosignatures_of(note, [WITNESS.verifier])
    assert found.time_s == time_s


@given(st.integers(0, 8 + 64 - 1), st.integers(0, 7))
def test_no_bit_of_a_cosignature_can_be_flipped(at: int, bit: int) -> None:
    line = WITNESS.signature_line(CHECKPOINT, 1_800_000_000)
    from base64 import b64decode

    content = bytearray(b64decode(line.rsplit(" ", 1)[1]))
    content[4 + at] ^= 1 << bit
    altered = f"— {WITNESS.name} {b64encode(content).decode()}\n"
    with pytest.raises(NoteError, match=r"does not verify|malformed"):
        cosignatures_of(f"{CHECKPOINT}\n{altered}", [WITNESS.verifier])


def test_lines_of_unknown_witnesses_are_ignored() -> None:
    stranger = CosignatureSigner(WITNESS.name, Ed25519PrivateKey.from_private_bytes(b"\5" * 32))
    note = sign_note(CHECKPOINT, [LOG]) + stranger.signature_line(CHECKPOINT, 1)
    assert cosignatures_of(note, [WITNESS.verifier]) == []


def test_a_plain_signature_is_no_cosignature() -> None:
    plain = NoteSigner(WITNESS.name, WITNESS.private)
    assert cosignatures_of(sign_note(CHECKPOINT, [LOG, plain]), [WITNESS.verifier]) == []


@pytest.mark.parametrize(
    "vkey",
    [
        "witness.example.org",
        VKEY.replace("+b8a2cf20+", "+00000000+"),
        VKEY.replace("+BF", "+AV"),
        VKEY[:-4],
        "two words+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN",
        LOG.verifier.vkey,
    ],
)
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        CosignatureVerifier.from_vkey(vkey)
