"""C2SP tlog-checkpoint: three lines, one form, signed by the log's own key."""

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import EMPTY_ROOT, Checkpoint, ProofError, open_checkpoint, parse_checkpoint, tree_root
from gateway.signing.signed_note import NoteError, NoteSigner, NoteVerifier, sign_note
from tests.audit.drafts import LOG_KEY, ORIGIN

ROOT = tree_root([b"one"])
ROOT_TEXT = b64encode(ROOT).decode()
SIGNER = NoteSigner(ORIGIN, LOG_KEY)

# transparency-dev/tessera testdata/log: key and the root of 15 entries
TESSERA_SEED = b64decode("AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg")[1:]
TESSERA_VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


def test_a_checkpoint_comes_back() -> None:
    checkpoint = Checkpoint(ORIGIN, 1, ROOT)
    assert open_checkpoint(checkpoint.sign([SIGNER]), ORIGIN, SIGNER.verifier) == checkpoint
    assert checkpoint.body == f"{ORIGIN}\n1\n{ROOT_TEXT}\n"


def test_tessera_log_is_reproduced() -> None:
    origin = "example.com/log/testdata"
    signer = NoteSigner(origin, Ed25519PrivateKey.from_private_bytes(TESSERA_SEED))
    assert signer.verifier.vkey == TESSERA_VKEY
    leaves = b"one two three four five six seven eit nain ten ileven twelf threeten fourten fivten".split()
    note = Checkpoint(origin, 15, tree_root(leaves)).sign([signer])
    assert note.startswith(f"{origin}\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n— {origin} M9e0l")
    assert open_checkpoint(note, origin, NoteVerifier.from_vkey(TESSERA_VKEY)).size == 15


def test_the_go_checksum_database_reads() -> None:
    body = "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n"
    assert parse_checkpoint(body).size == 35225469


BAD_BODIES = {
    "two lines": f"{ORIGIN}\n1\n",
    "an extension line": f"{ORIGIN}\n1\n{ROOT_TEXT}\nmore\n",
    "an empty line more": f"{ORIGIN}\n1\n{ROOT_TEXT}\n\n",
    "no final line feed": f"{ORIGIN}\n1\n{ROOT_TEXT}",
    "no origin": f"\n1\n{ROOT_TEXT}\n",
    "no size": f"{ORIGIN}\n\n{ROOT_TEXT}\n",
    "leading zeros": f"{ORIGIN}\n007\n{ROOT_TEXT}\n",
    "a plus sign": f"{ORIGIN}\n+7\n{ROOT_TEXT}\n",
    "a minus sign": f"{ORIGIN}\n-7\n{ROOT_TEXT}\n",
    "spaces around the size": f"{ORIGIN}\n 7 \n{ROOT_TEXT}\n",
    "an underscore": f"{ORIGIN}\n7_0\n{ROOT_TEXT}\n",
    "digits of another script": f"{ORIGIN}\n\u0667\n{ROOT_TEXT}\n",
    "a size beyond 63 bits": f"{ORIGIN}\n9223372036854775808\n{ROOT_TEXT}\n",
    "a short root": f"{ORIGIN}\n1\n{b64encode(ROOT[:31]).decode()}\n",
    "a root without padding": f"{ORIGIN}\n1\n{ROOT_TEXT[:-1]}\n",
    "leftover bits in the root": f"{ORIGIN}\n1\n{ROOT_TEXT[:-2]}{chr(ord(ROOT_TEXT[-2]) + 1)}=\n",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_other_forms_are_refused(body: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(body)


def test_largest_size_is_read() -> None:
    assert parse_checkpoint(f"{ORIGIN}\n{2**63 - 1}\n{ROOT_TEXT}\n").size == 2**63 - 1


def test_another_log_is_refused() -> None:
    note = sign_note(Checkpoint("audit.other.example", 1, ROOT).body, [SIGNER])
    with pytest.raises(ProofError, match="another log"):
        open_checkpoint(note, ORIGIN, SIGNER.verifier)


def test_an_empty_log_has_the_empty_root() -> None:
    good = Checkpoint(ORIGIN, 0, EMPTY_ROOT).sign([SIGNER])
    assert open_checkpoint(good, ORIGIN, SIGNER.verifier).size == 0
    with pytest.raises(ProofError, match="empty log"):
        open_checkpoint(Checkpoint(ORIGIN, 0, ROOT).sign([SIGNER]), ORIGIN, SIGNER.verifier)
