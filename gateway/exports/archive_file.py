"""The learner's own archive file: encrypted under a passphrase (age v1, scrypt), so that it may lie anywhere.

``age --decrypt`` of anybody opens it as well. The cost of guessing is in the file itself; one that asks
for more than this machine should spend is refused before anything is computed.
"""

from __future__ import annotations

import re

from gateway.errors import GatewayError

FILE_BYTES_MAX = 64 * 1024 * 1024
PASSPHRASE_CHARACTERS_MIN = 8
WORK_FACTOR_MAX = 20
"""Largest scrypt cost, as a power of two, that is tried: 2^20 takes 1 GiB and some seconds."""
MEASURES_MAX = 50
_CLOSED = "the file does not open: the passphrase is another one, or the file was altered or cut short."
_TRY_AGAIN = "Try the passphrase again; if it is right, take another copy of the file."
_COSTLY = "It was made by a much faster machine, or altered to keep this one busy. A busy one may try later."
_MAGIC = b"age-encryption.org/v1\n"
_SCRYPT = re.compile(rb"\A-> scrypt [A-Za-z0-9+/]{22} ([1-9][0-9]{0,3})\n")


class ArchiveFileError(GatewayError):
    """An archive file cannot be opened: no such file, altered, or another passphrase."""


def encrypt(content: bytes, passphrase: str) -> bytes:
    """Return ``content`` as an age file.

    Raises:
        ArchiveFileError: the passphrase is too short.
    """
    from pyrage import passphrase as age

    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise ArchiveFileError(
            f"the passphrase has fewer than {PASSPHRASE_CHARACTERS_MIN} characters.",
            remedy="Take several words: whoever finds the file may guess as long as they like.",
        )
    return bytes(age.encrypt(content, passphrase))


def decrypt(content: bytes, passphrase: str) -> bytes:
    """Return what an age file holds; every byte of it was authenticated.

    Raises:
        ArchiveFileError: it is no such file, damaged, too costly, or the passphrase is another one.
    """
    if len(content) > FILE_BYTES_MAX:
        raise ArchiveFileError(f"the file is larger than {FILE_BYTES_MAX >> 20} MiB.")
    if not content.startswith(_MAGIC):
        raise ArchiveFileError(
            "the file is no encrypted archive.", remedy="`credit-gateway archive save` makes one."
        )
    cost = _SCRYPT.match(content[len(_MAGIC) :])
    if cost is None:
        raise ArchiveFileError("the file is not encrypted under a passphrase.")
    if int(cost[1]) > WORK_FACTOR_MAX:
        raise ArchiveFileError(
            f"the file asks for a key derivation of 2^{int(cost[1])}, and 2^{WORK_FACTOR_MAX} is the most.",
            remedy=_COSTLY,
        )
    return _decrypt(content, passphrase)


def _decrypt(content: bytes, passphrase: str) -> bytes:
    """Decrypt a file of bearable cost.

    The library measures in a blink how fast this machine is and refuses what seems too much. On a busy
    machine the measure is off, so a file that the bound above lets pass is tried again.
    """
    from pyrage import DecryptError
    from pyrage import passphrase as age

    for _ in range(MEASURES_MAX):
        try:
            return bytes(age.decrypt(content, passphrase))
        except DecryptError as error:
            if "work parameter" not in str(error):
                raise ArchiveFileError(_CLOSED, remedy=_TRY_AGAIN) from error
    raise ArchiveFileError(
        "the file asks for a key derivation that takes this machine too long just now.", remedy=_COSTLY
    )
