"""The provider at which people sign in to pages, as node.toml and its secret file say."""

from __future__ import annotations

from gateway.node.folder import NodeFolder
from gateway.node.provider_table import ProviderTable
from gateway.signing.key_files import read_private_file
from gateway.web.site.openid_connect import Provider


def sign_in_provider(folder: NodeFolder, table: ProviderTable, name: str) -> Provider:
    """Return the provider of ``table``, which stands in node.toml as ``name``.

    Raises:
        KeyFileError: the client's secret cannot be read, or others can read it.
    """
    secret = ""
    if table.client_secret_file:
        secret = read_private_file(folder.root / table.client_secret_file).decode().strip()
    return Provider(table.issuer, table.client_id, secret, table.scopes, name)
