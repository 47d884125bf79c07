"""The append-only Merkle log of exchanges: entries, tree, checkpoints, receipts, verification."""
