"""The local API: HTTP/JSON for a province's own applications, before the node's operator port.

It holds no key of the node and no database of records; every operation is one call of ArchiveService or
OperatorService (``protos/creditexchange/v1``).
"""
