"""The cases, one file a section of docs/protocol.md."""
