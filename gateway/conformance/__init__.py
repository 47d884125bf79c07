"""Plays a peer through the cases of docs/protocol.md against a live node and says which rules it keeps."""
