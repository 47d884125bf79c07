"""A node's folder: what lies where, and how it is made.

::

    node.toml  scheme.toml  access.toml       configuration, edited by people
    peers/ID.toml                             accepted peers
    keys/                                     private keys and secrets, mode 0600
    data/                                     databases
    records/                                  files to import, if you like
    card.json                                 the node's present card
    run/                                      lock, operator token, addresses of the running node
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.audit import AuditLog
from gateway.errors import CallerError, KeyFileError
from gateway.node.config import CONFIG_FILE, KeysTable, NodeConfig, load_config
from gateway.node.key_slots import CaSlot, Slot, load_ca, load_slot, read_certificate
from gateway.node.rotation_plan import SWITCHED, Plan, Role, read_plan
from gateway.peers.node_ca import (
    LEAF_BACKDATED,
    LEAF_RENEWAL_DAYS,
    generate_tls_key,
    is_issued_by,
    issue_document_certificate,
    issue_leaf,
    make_ca,
)
from gateway.signing.hsm_keys import open_hsm_key
from gateway.signing.key_files import (
    find_passphrase,
    read_private_key,
    read_secret,
    read_signing_key,
    write_private_key,
    write_secret,
)
from gateway.signing.key_uri import is_key_uri, parse_key_uri
from gateway.signing.signed_note import NoteVerifier
from gateway.signing.suites import ED25519, SigningKey, Suite
from gateway.storage.engine import open_engine
from gateway.storage.migrate import upgrade

SECRET_BYTES = 32
EVIDENCE_KEY = "evidence.secret"
PREVIOUS_EVIDENCE_KEY = "evidence-previous.secret"
"""There only while the evidence key is being rotated."""
CREDENTIAL_KEY = "credential.pem"
"""Ed25519; signs verifiable credentials."""
PAST_CREDENTIAL_KEYS = "credential-past.txt"
"""Public keys that signed credentials before it, multibase, one a line, the newest first."""
DOCUMENT_KEY, DOCUMENT_CERTIFICATE = "documents.pem", "documents.crt"
"""P-256; signs XML and PDF, under a certificate of the node's CA."""


@dataclass(frozen=True)
class NodeFolder:
    """Paths of one node's folder."""

    root: Path

    @property
    def config(self) -> Path:
        """``node.toml``."""
        return self.root / CONFIG_FILE

    @property
    def scheme(self) -> Path:
        """``scheme.toml``."""
        return self.root / "scheme.toml"

    @property
    def access(self) -> Path:
        """``access.toml``."""
        return self.root / "access.toml"

    @property
    def peers(self) -> Path:
        """Folder of accepted peers."""
        return self.root / "peers"

    @property
    def keys(self) -> Path:
        """Folder of private keys and secrets."""
        return self.root / "keys"

    @property
    def card(self) -> Path:
        """The node's present card, DSSE JSON. Public; made again when what it says changes."""
        return self.root / "card.json"

    @property
    def run(self) -> Path:
        """Folder of the running node's traces."""
        return self.root / "run"

    def key(self, name: str) -> Path:
        """Return the path of one key file."""
        return self.keys / name

    def database_url(self, url: str) -> str:
        """Return ``url`` with a relative SQLite file placed in the node's folder."""
        prefix = "sqlite:///"
        if not url.startswith(prefix) or url.startswith(prefix + "/"):
            return url
        return f"{prefix}{(self.root / url.removeprefix(prefix)).resolve()}"


@dataclass(frozen=True)
class NodeKeys:
    """A node's private keys and secrets, loaded."""

    message: SigningKey
    log: SigningKey
    witness: SigningKey
    evidence: bytes
    previous_evidence: bytes | None
    """The evidence key that is being retired, while it is."""
    tls_ca: x509.Certificate
    tls_ca_key: Any
    tls_leaf_pem: bytes
    tls_leaf_key_pem: bytes
    further_message: tuple[SigningKey, ...] = ()
    """Keys of the further signatures on every message; see ``[keys] message``."""
    slots: tuple[Slot, ...] = ()
    """Every signing key with the one that replaces it or that it replaced."""
    cas: tuple[x509.Certificate, ...] = ()
    """Every TLS authority that stands in the card."""
    plan: Plan = field(default_factory=Plan)
    """Which keys are being replaced."""

    @property
    def log_keys(self) -> tuple[SigningKey, ...]:
        """Every key that signs checkpoints: the new one first, and the old one until it is retired."""
        return (self.log, *self._last("log"))

    @property
    def witness_keys(self) -> tuple[SigningKey, ...]:
        """Every key that cosigns, likewise."""
        return (self.witness, *self._last("witness"))

    def past_log_verifiers(self, origin: str) -> tuple[NoteVerifier, ...]:
        """Return what verifies checkpoints that keys signed which are retired."""
        past = [NoteVerifier.from_vkey(key.verifier_key) for key in self.plan.past_log_key]
        return tuple(NoteVerifier(origin, verifier.public) for verifier in past)

    def _last(self, role: Role) -> list[SigningKey]:
        return [
            slot.other
            for slot in self.slots
            if slot.step is not None
            and slot.step.role == role
            and slot.step.phase == SWITCHED
            and slot.other is not None
        ]

    @property
    def message_keys(self) -> tuple[SigningKey, ...]:
        """Every key that signs messages, the first one first."""
        return (self.message, *self.further_message)

    def __repr__(self) -> str:
        """Hide every key."""
        return "NodeKeys(…)"


def passphrase_of(folder: NodeFolder, config: NodeConfig) -> bytes | None:
    """Return the passphrase of the node's key files, ``None`` when they are not encrypted."""
    name = config.keys.passphrase_file
    return find_passphrase(folder.root / name if name else None)


def load_keys(folder: NodeFolder, config: NodeConfig) -> NodeKeys:
    """Read every key of the node.

    Raises:
        KeyFileError: one is missing, readable by others, or of the wrong kind; the text names it.
        HsmError: a key in a hardware module cannot be used.
        SuiteUnavailableError: the system's OpenSSL cannot be used for SM2.
    """
    passphrase, plan = passphrase_of(folder, config), read_plan(folder.keys)

    def slot(role: Role, source: str) -> Slot:
        return load_slot(
            role, source, plan, folder.keys, lambda place: load_signing_key(folder, place, passphrase)
        )

    messages = [slot("signing", source) for source in config.keys.message]
    message, *further = (found.active for found in messages)
    _require_usable((message, *further), config)
    log, witness = slot("log", config.keys.log), slot("witness", config.keys.witness)
    leaf_key = read_private_key(folder.key("tls-leaf.pem"), passphrase)
    ca = load_ca(plan, folder.keys, passphrase)
    return NodeKeys(
        message=message,
        log=log.active,
        witness=witness.active,
        evidence=read_secret(folder.key(EVIDENCE_KEY)),
        previous_evidence=_read_previous(folder.key(PREVIOUS_EVIDENCE_KEY)),
        tls_ca=ca.active,
        tls_ca_key=ca.key,
        tls_leaf_pem=read_certificate(folder.key("tls-leaf.crt")).public_bytes(Encoding.PEM),
        tls_leaf_key_pem=leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        further_message=tuple(further),
        slots=(*messages, log, witness),
        cas=ca.listed,
        plan=plan,
    )


def load_signing_key(folder: NodeFolder, source: str, passphrase: bytes | None) -> SigningKey:
    """Return the key that ``[keys]`` names by ``source``: a file, or a key in a hardware module.

    Raises:
        KeyFileError: the file is refused.
        HsmError: the module, its token or the key cannot be used.
        SuiteUnavailableError: the system's OpenSSL cannot be used for SM2.
    """
    if is_key_uri(source):
        return open_hsm_key(parse_key_uri(source), folder.root)
    return read_signing_key(folder.key(source), passphrase)


def _require_usable(message_keys: Sequence[SigningKey], config: NodeConfig) -> None:
    if not any(key.suite.is_compact for key in message_keys):
        raise KeyFileError(
            f"{config.keys.message[0]}: signatures of {message_keys[0].suite.name} do not fit a refusal.",
            remedy="Name a key of another suite beside it in [keys] message, for example of ed25519.",
        )
    if len({key.key_id for key in message_keys}) < len(message_keys):
        raise KeyFileError("[keys] message names one key twice.", remedy="Make a second key, or remove one.")


def is_leaf_due(keys: NodeKeys, now: datetime) -> bool:
    """Whether the TLS leaf must be issued anew: it is about to expire, of another authority, half written,
    or older than the operator wants it.
    """
    leaf = x509.load_pem_x509_certificate(keys.tls_leaf_pem)
    key = load_pem_private_key(keys.tls_leaf_key_pem, None)
    after = keys.plan.leaf_after
    return (
        leaf.not_valid_after_utc - now < timedelta(days=LEAF_RENEWAL_DAYS)
        or leaf.public_key() != key.public_key()
        or not is_issued_by(leaf, keys.tls_ca)
        or (after is not None and leaf.not_valid_before_utc < after - LEAF_BACKDATED)
    )


def make_credential_keys(
    folder: NodeFolder, config: NodeConfig, now: datetime, passphrase: bytes | None
) -> list[str]:
    """Make the keys that sign what learners take away, where they are missing; return their names.

    Raises:
        KeyFileError: the node's CA, which certifies the key for documents, cannot be read.
    """
    created = []
    if not folder.key(CREDENTIAL_KEY).exists():
        write_private_key(folder.key(CREDENTIAL_KEY), SigningKey.generate(ED25519).private, passphrase)
        created.append(f"keys/{CREDENTIAL_KEY}")
    if not folder.key(DOCUMENT_KEY).exists():
        key = generate_tls_key()
        certify_document_key(folder, config, key, now)
        write_private_key(folder.key(DOCUMENT_KEY), key, passphrase)
        created.append(f"keys/{DOCUMENT_KEY}")
    return created


def present_ca(folder: NodeFolder, config: NodeConfig) -> CaSlot:
    """Return the node's TLS authority as it stands now. Raises ``KeyFileError``."""
    return load_ca(read_plan(folder.keys), folder.keys, passphrase_of(folder, config))


def certify_document_key(folder: NodeFolder, config: NodeConfig, key: Any, now: datetime) -> x509.Certificate:
    """Issue the certificate of the key for documents, from the node's present CA, and swap the file in.

    Raises:
        KeyFileError: the CA cannot be read.
    """
    ca = present_ca(folder, config)
    certificate = issue_document_certificate(config.node.id, key.public_key(), ca.active, ca.key, now=now)
    content = certificate.public_bytes(Encoding.PEM)
    swap_in(folder.key(DOCUMENT_CERTIFICATE), lambda path: path.write_bytes(content))
    return certificate


def renew_leaf(folder: NodeFolder, config: NodeConfig, now: datetime) -> None:
    """Issue a new TLS leaf from the node's CA, with a new key, and swap both files in."""
    keys = load_keys(folder, config)
    key = generate_tls_key()
    leaf = issue_leaf(config.node.id, key.public_key(), keys.tls_ca, keys.tls_ca_key, now=now)
    swap_in(
        folder.key("tls-leaf.pem"), lambda path: write_private_key(path, key, passphrase_of(folder, config))
    )
    swap_in(folder.key("tls-leaf.crt"), lambda path: path.write_bytes(leaf.public_bytes(Encoding.PEM)))


def swap_in(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make a file, and put it in the place of ``path`` when it is whole."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    write(fresh)
    fresh.replace(path)


def init_node(
    root: Path,
    node_id: str,
    *,
    example: Path | None,
    settings: dict[str, str],
    now: datetime,
    suites: Sequence[Suite] = (ED25519,),
) -> list[str]:
    """Create what is missing of a node's folder, keep what is there, and bring databases up to date.

    ``example`` is a folder with ready ``node.toml``, ``scheme.toml``, ``access.toml`` to start
    from; ``settings`` replaces values of the shipped template (see ``templates/node.toml``).
    ``suites`` are those of the message keys that are made; log and witness keys are of the first.
    Returns the names of what was created.

    Raises:
        CallerError: the folder belongs to another node.
        ConfigError: the configuration in it is wrong.
    """
    folder = NodeFolder(root)
    created: list[str] = []
    for path in (folder.root, folder.peers, folder.keys, root / "data", root / "records"):
        if not path.is_dir():
            path.mkdir(parents=True)
            created.append(f"{path.name}/")
    folder.keys.chmod(0o700)
    (root / "data").chmod(0o700)
    created += _write_configuration(folder, node_id, example, settings)
    if CONFIG_FILE in created:
        _name_message_keys(folder, suites)
    config = load_config(root)
    if config.node.id != node_id:
        raise CallerError(
            f"{root} is the folder of node {config.node.id!r}.", remedy="Choose another folder."
        )
    if len(suites) > len(config.keys.message):
        raise CallerError(
            f"node.toml names {len(config.keys.message)} message key, and {len(suites)} suites were given.",
            remedy=f"Add under [keys] in node.toml: {_message_line(suites)}",
        )
    made = _make_keys(folder, config, now, suites)
    _make_databases(folder, config, now, born_with_keys="keys/message.pem" in made)
    return created + made


def add_federation_secret(folder: NodeFolder, epoch: str, source: Path | None) -> bool:
    """Put the federation secret of ``epoch`` in place: a copy of ``source``, or a new one.

    Returns whether it was created; an equal one that is there already is kept.

    Raises:
        KeyFileError: another secret of this epoch is there, or ``source`` is refused.
    """
    target = folder.key(f"federation-{epoch}.secret")
    secret = read_secret(source, SECRET_BYTES) if source is not None else None
    if target.exists():
        if secret is not None and read_secret(target, SECRET_BYTES) != secret:
            raise KeyFileError(
                f"{target} holds another secret.", remedy="Use a new epoch for a new secret; see --epoch."
            )
        return False
    write_secret(target, secret if secret is not None else os.urandom(SECRET_BYTES))
    return True


def _write_configuration(
    folder: NodeFolder, node_id: str, example: Path | None, settings: dict[str, str]
) -> list[str]:
    created = []
    for path in (folder.config, folder.scheme, folder.access):
        if path.exists():
            continue
        source = example / path.name if example is not None else None
        if source is not None and source.is_file():
            shutil.copyfile(source, path)
        else:
            path.write_text(_template(path.name, {"id": node_id, **settings}), encoding="utf-8")
        created.append(path.name)
    return created


def _template(name: str, settings: dict[str, str]) -> str:
    text = (resources.files("gateway.node") / "templates" / name).read_text(encoding="utf-8")
    for key, value in settings.items():
        text = text.replace(f"@{key}@", value)
    return text


def _name_message_keys(folder: NodeFolder, suites: Sequence[Suite]) -> None:
    """Name a file for the key of each further suite in a new ``node.toml``.

    Raises:
        CallerError: the example that it was copied from has a table ``[keys]`` of its own.
    """
    if len(suites) == 1:
        return
    if load_config(folder.root).keys != KeysTable():
        raise CallerError(
            "the example's node.toml has a table [keys] already.", remedy="Name the message keys there."
        )
    with folder.config.open("a", encoding="utf-8") as file:
        file.write(f"\n[keys]\n{_message_line(suites)} # every message bears a signature of each\n")


def _message_line(suites: Sequence[Suite]) -> str:
    names = ["message.pem", *(f"message-{suite.name}.pem" for suite in suites[1:])]
    return "message = [" + ", ".join(f'"{name}"' for name in names) + "]"


def _suites_by_source(config: NodeConfig, suites: Sequence[Suite]) -> dict[str, Suite]:
    """Return the suite of each key file that may have to be made; keys in a module are made there."""
    by_source = dict.fromkeys((*config.keys.message, config.keys.log, config.keys.witness), suites[0])
    by_source |= dict(zip(config.keys.message, suites, strict=False))
    return {source: suite for source, suite in by_source.items() if not is_key_uri(source)}


def _make_keys(folder: NodeFolder, config: NodeConfig, now: datetime, suites: Sequence[Suite]) -> list[str]:
    """Make each key that is missing. An existing file is never touched."""
    passphrase = passphrase_of(folder, config)
    created = []
    for name, suite in _suites_by_source(config, suites).items():
        if not folder.key(name).exists():
            write_private_key(folder.key(name), SigningKey.generate(suite).private, passphrase)
            created.append(f"keys/{name}")
    if not folder.key("evidence.secret").exists():
        write_secret(folder.key("evidence.secret"), os.urandom(SECRET_BYTES))
        created.append("keys/evidence.secret")
    if not folder.key("tls-ca.pem").exists():
        ca_key, leaf_key = generate_tls_key(), generate_tls_key()
        ca = make_ca(config.node.id, ca_key, now)
        leaf = issue_leaf(config.node.id, leaf_key.public_key(), ca, ca_key, now=now)
        write_private_key(folder.key("tls-ca.pem"), ca_key, passphrase)
        write_private_key(folder.key("tls-leaf.pem"), leaf_key, passphrase)
        folder.key("tls-ca.crt").write_bytes(ca.public_bytes(Encoding.PEM))
        folder.key("tls-leaf.crt").write_bytes(leaf.public_bytes(Encoding.PEM))
        created += ["keys/tls-ca.pem", "keys/tls-leaf.pem"]
    return created + make_credential_keys(folder, config, now, passphrase)


def _make_databases(folder: NodeFolder, config: NodeConfig, now: datetime, *, born_with_keys: bool) -> None:
    """Create or migrate both databases.

    An audit log born together with the keys needs no fence against replays: nobody can have
    signed anything for it yet.
    """
    records = open_engine(folder.database_url(config.database.records_url))
    node = open_engine(folder.database_url(config.database.url))
    try:
        upgrade(records, "records")
        AuditLog.create(node, config.audit.origin, clock=lambda: now, born_with_keys=born_with_keys)
    finally:
        records.dispose()
        node.dispose()


def _read_previous(path: Path) -> bytes | None:
    return read_secret(path) if path.exists() else None
