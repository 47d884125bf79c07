"""Before a log is appended to: does what is stored agree with itself?"""

from __future__ import annotations

import hmac

from gateway.audit.checkpoint import open_checkpoint
from gateway.audit.growth import Head
from gateway.audit.merkle import ProofError, append, leaf_hash, require_edge, root_from_edge
from gateway.audit.proofs import altered, stored_edge
from gateway.errors import AuditLogError, GatewayError
from gateway.signing.signed_note import Verifiers
from gateway.storage import audit_rows
from gateway.storage.audit_rows import TreeRow
from gateway.storage.node_tables import Transaction

TAIL_ENTRIES = 1_000
"""How many of the newest leaves are hashed again at every start."""


def require_sound(transaction: Transaction, origin: str, verifier: Verifiers) -> Head:
    """Return the log's head after its tail was recomputed from the stored leaves.

    Raises:
        AuditLogError: there is no such log, or it does not agree with itself.
    """
    head = read_head(transaction, origin, verifier)
    if audit_rows.read_last_index(transaction) != head.size - 1:
        raise altered(f"the tree has {head.size} entries, the last that is stored is another one.")
    start = max(0, head.size - TAIL_ENTRIES)
    edge = list(stored_edge(transaction, start))
    expected = start
    for index, leaf, stored_hash, *_ in audit_rows.stream_entries(transaction, start, head.size):
        if index != expected:
            raise altered(f"entry {expected} is missing.")
        hashed = leaf_hash(leaf) if isinstance(leaf, bytes) else b""
        if not hashed or hashed != stored_hash:
            raise altered(f"entry {index} was changed.")
        append(edge, index, hashed)
        expected += 1
    if expected != head.size or tuple(edge) != head.edge:
        raise altered(f"the last {head.size - start} entries do not lead to the tree's root.")
    return head


def read_head(
    transaction: Transaction, origin: str, verifier: Verifiers, *, for_update: bool = False
) -> Head:
    """Return the head: tree row and newest checkpoint, checked against each other.

    Raises:
        AuditLogError: there is no such log, or the two do not agree.
    """
    tree = audit_rows.read_tree(transaction, origin, for_update=for_update)
    if tree is None:
        raise AuditLogError(
            f"the database holds no audit log {origin!r}.",
            remedy="Check [log] origin in node.toml; `credit-gateway init` makes a new log.",
        )
    return head_of(transaction, tree, origin, verifier)


def head_of(transaction: Transaction, tree: TreeRow, origin: str, verifier: Verifiers) -> Head:
    """Return the head that ``tree`` and the newest checkpoint make together; same errors."""
    try:
        require_edge(tree.edge, tree.size)
    except ProofError as error:
        raise altered("the tree row is malformed.") from error
    if not hmac.compare_digest(root_from_edge(tree.edge), tree.root):
        raise altered("the tree row's root is not that of its edge.")
    newest = audit_rows.read_checkpoint(transaction)
    if newest is None:
        if tree.size:
            raise altered("there is no checkpoint.")
        return Head()
    try:
        checkpoint = open_checkpoint(newest[1], origin, verifier)
    except GatewayError as error:
        raise AuditLogError(
            f"the newest checkpoint of the audit log is not acceptable: {error.message}",
            remedy="Is this the log key that belongs to this database? Nothing was appended.",
        ) from error
    if (checkpoint.size, checkpoint.root) != (tree.size, tree.root) or newest[0] != tree.size:
        raise altered(f"the newest checkpoint is of {checkpoint.size} entries, the tree has {tree.size}.")
    return Head(tree.size, tree.root, tree.edge, tree.logged_at, newest[1])
