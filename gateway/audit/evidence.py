"""Evidence at rest: signed bytes in the clear, openings encrypted and erasable.

Signed messages hold commitments only, so they are stored as they are and kept for ever. Openings
say something about a person: those of one entry are encrypted with AES-256-GCM under a data key of
their own, which is stored wrapped (RFC 3394) by the node's evidence key. Deleting the data key, or
the ciphertext, erases them while every signature, digest and proof stays valid.

The additional authenticated data is ``"credit-exchange/evidence/v1" || 0x00 || role || 0x00 ||
request_digest || part`` (part as two bytes, big-endian), followed in bulk by the number of the chunk
(four bytes). The request digest stands in the leaf, so a ciphertext that was moved to the entry of
another message does not open. The index would bind as well, but it is known only while the log is
locked; this is known before, and so the encryption costs the log nothing.

In bulk each learner of a chunk is a part of their own, numbered by the learner's place in the query: one
can be erased, or shown, without the others.

Learners are found again by ``subject_ref``, an HMAC of the subject token under a key derived from
the evidence key: the database alone does not tell who was asked about.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from creditexchange.v1.envelope_pb2 import Opening
from creditexchange.v1.exchange_pb2 import QueryRecordsRequest, QueryRecordsResponse
from gateway.audit.entry import EntryDraft
from gateway.errors import GatewayError
from gateway.storage.evidence_rows import SealedPart, SignedRow

KEY_BYTES = 32
NONCE_BYTES = 12
RETENTION_MS = 3 * 366 * 24 * 3600 * 1000
"""How long openings are kept: three years, milliseconds (docs/decisions, retention)."""

_CONTEXT = b"credit-exchange/evidence/v1"
WHOLE_ENTRY = 0
"""Part number of the openings of an exchange about one learner."""


class EvidenceError(GatewayError):
    """Openings cannot be decrypted: the wrong evidence key, or the database was altered."""


@dataclass(frozen=True, slots=True)
class SubjectEvidence:
    """What a chunk of an exchange in bulk leaves behind about one of its learners."""

    position: int
    """The learner's place in the query, from 0."""
    subject_token: bytes = field(repr=False)
    request_openings: Sequence[Opening] = field(repr=False)
    answer_openings: bytes = field(default=b"", repr=False)
    """As :func:`serialised_openings` returns them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one exchange leaves behind beside its leaf."""

    request_message: bytes
    """The serialised SignedMessage of the request."""
    request_body: bytes = b""
    """The body inside it, by which a retry is recognised."""
    answer_message: bytes = b""
    """The serialised SignedMessage of the answer, on the asker's side."""
    answer_body: bytes = b""
    """The exact bytes whose SHA-256 is the leaf's ``answer_digest``."""
    request_openings: Sequence[Opening] = field(default=(), repr=False)
    answer_openings: Sequence[Opening] = field(default=(), repr=False)
    answer_openings_bytes: bytes = field(default=b"", repr=False)
    """The same, serialised as a response holds them, where somebody has done that already."""
    subject_tokens: Sequence[bytes] = field(default=(), repr=False)
    """Whom the exchange was about; only an HMAC of each is stored."""
    subjects: Sequence[SubjectEvidence] = field(default=(), repr=False)
    """In bulk, instead of openings and tokens of the whole entry."""

    @property
    def signed_row(self) -> SignedRow:
        """The part that is stored in the clear."""
        return SignedRow(self.request_message, self.request_body, self.answer_message, self.answer_body)


@dataclass(frozen=True, slots=True)
class Openings:
    """Decrypted openings of one entry."""

    request: tuple[Opening, ...]
    answer: tuple[Opening, ...]


class EvidenceVault:
    """Encrypts openings under the node's evidence key (32 bytes) and decrypts them.

    While the evidence key is being rotated there is a ``previous`` one, which only decrypts.
    """

    def __init__(self, evidence_key: bytes, previous: bytes | None = None) -> None:
        if len(evidence_key) != KEY_BYTES:
            raise ValueError("the evidence key is 32 bytes long")
        self.previous = EvidenceVault(previous) if previous is not None else None
        """The vault of the key that is being retired, if there is one."""
        self._wrapping_key = _derive(evidence_key, b"wrap")
        self._subject_key = _derive(evidence_key, b"subject")
        self.key_id = _derive(evidence_key, b"id")[:8]
        """Names the evidence key under which a data key is wrapped; 8 bytes."""

    def subject_ref(self, subject_token: bytes) -> bytes:
        """Return the 32 bytes under which entries about this learner are found."""
        return hmac.new(self._subject_key, subject_token, "sha256").digest()

    def subject_refs(self, subject_token: bytes) -> tuple[bytes, ...]:
        """Return everything under which entries about this learner may be found."""
        earlier = (self.previous.subject_ref(subject_token),) if self.previous is not None else ()
        return (self.subject_ref(subject_token), *earlier)

    def seal_parts(
        self, draft: EntryDraft, evidence: Evidence, now_ms: int
    ) -> list[tuple[SealedPart, tuple[bytes, ...]]]:
        """Return the encrypted openings of ``evidence`` part by part, each with whom it is about."""
        if evidence.subjects:
            return [
                (
                    self._seal_part(draft, s.position, s.request_openings, s.answer_openings, now_ms),
                    (self.subject_ref(s.subject_token),),
                )
                for s in evidence.subjects
            ]
        part = self.seal(draft, evidence, now_ms)
        refs = tuple(dict.fromkeys(map(self.subject_ref, evidence.subject_tokens)))
        return [] if part is None else [(part, refs)]

    def seal(self, draft: EntryDraft, evidence: Evidence, now_ms: int) -> SealedPart | None:
        """Return the encrypted openings of a whole entry, ``None`` when there are none."""
        if not evidence.request_openings and not evidence.answer_openings:
            return None
        answer = evidence.answer_openings_bytes or serialised_openings(evidence.answer_openings)
        return self._seal_part(draft, WHOLE_ENTRY, evidence.request_openings, answer, now_ms)

    def _seal_part(
        self,
        draft: EntryDraft,
        part: int,
        request_openings: Sequence[Opening],
        answer: bytes,
        now_ms: int,
    ) -> SealedPart:
        request = QueryRecordsRequest(openings=request_openings).SerializeToString()
        random = secrets.token_bytes(KEY_BYTES + NONCE_BYTES)
        data_key, nonce = random[:KEY_BYTES], random[KEY_BYTES:]
        content = len(request).to_bytes(4, "big") + request + answer
        return SealedPart(
            part=part,
            nonce=nonce,
            ciphertext=AESGCM(data_key).encrypt(nonce, content, self._bound_to(draft, part)),
            wrapped_key=aes_key_wrap(self._wrapping_key, data_key),
            wrapped_by=self.key_id,
            expires_at=now_ms + RETENTION_MS,
        )

    def open(self, draft: EntryDraft, sealed: SealedPart) -> Openings:
        """Decrypt openings that were sealed for the entry ``draft``.

        Raises:
            EvidenceError: another evidence key, another entry, or altered bytes.
        """
        if not hmac.compare_digest(sealed.wrapped_by, self.key_id):
            if self.previous is not None:
                return self.previous.open(draft, sealed)
            raise EvidenceError(
                "the openings were encrypted under another evidence key.",
                remedy="Put the earlier evidence key back in its place.",
            )
        try:
            data_key = aes_key_unwrap(self._wrapping_key, sealed.wrapped_key)
            content = AESGCM(data_key).decrypt(
                sealed.nonce, sealed.ciphertext, self._bound_to(draft, sealed.part)
            )
        except (InvalidTag, InvalidUnwrap, ValueError) as error:
            raise EvidenceError(
                "the openings do not decrypt: the database was altered.",
                remedy="Run `credit-gateway audit verify`.",
            ) from error
        end = 4 + int.from_bytes(content[:4], "big")
        return Openings(
            request=tuple(QueryRecordsRequest.FromString(content[4:end]).openings),
            answer=tuple(QueryRecordsResponse.FromString(content[end:]).openings),
        )

    def rewrap(self, sealed: SealedPart) -> bytes:
        """Return the data key of a part that the previous evidence key wraps, wrapped by this one.

        Raises:
            EvidenceError: there is no previous key, or it does not wrap this part.
        """
        try:
            if self.previous is None:
                raise EvidenceError("there is no previous evidence key.")
            data_key = aes_key_unwrap(self.previous._wrapping_key, sealed.wrapped_key)  # noqa: SLF001
        except (InvalidUnwrap, ValueError) as error:
            raise EvidenceError(
                "a data key is not wrapped by the previous evidence key.",
                remedy="Run `credit-gateway audit verify`; put the right key back in its place.",
            ) from error
        return aes_key_wrap(self._wrapping_key, data_key)

    def _bound_to(self, draft: EntryDraft, part: int) -> bytes:
        chunk = draft.chunk.to_bytes(4, "big") if draft.chunk else b""
        fields = (_CONTEXT, draft.role.encode(), draft.request_digest + part.to_bytes(2, "big") + chunk)
        return b"\x00".join(fields)


def serialised_openings(openings: Sequence[Opening]) -> bytes:
    """Return ``openings`` as a response holds them beside its message, which is also how they are kept."""
    return QueryRecordsResponse(openings=openings).SerializeToString()


def _derive(evidence_key: bytes, purpose: bytes) -> bytes:
    """Return a 32-byte key for one purpose."""
    return hmac.new(evidence_key, _CONTEXT + b"\x00" + purpose, "sha256").digest()
