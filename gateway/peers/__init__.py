"""Known peers: their cards, their TLS identity, how to reach them."""
