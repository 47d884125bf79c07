"""Keys whose private half is printed in a standard or in public test data: never to be trusted."""

from __future__ import annotations

PUBLISHED_KEY_IDS = frozenset(
    {
        # RFC 8032, section 7.1, test 1
        "sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9",
        # RFC 8032, section 7.1, test 2
        "sha256:deb2ded39dc26fce0e6085b6fc34bf6b5941913bbfe2ea614113cff9e004c170",
        # RFC 8032, section 7.1, test 3
        "sha256:8d39ba50abe50f77b6bb8ae7b6927aff7ffbeba35ad2837c0e51e82bcbcc60d5",
        # RFC 8032, section 7.1, test 1024
        "sha256:e4f982b51ad0bdd87be820b259fe80337ef636e72b9fa7a8867a6949eb610fd6",
        # RFC 8032, section 7.1, test SHA(abc)
        "sha256:e77db4a9572e9f6552c22bc751d5499ad218a73bdf7e15dc6ea0fc69246a44de",
        # transparency-dev/tessera testdata/log
        "sha256:f9d891064d202e7597f56a450c7bf718ab2a087227da49446fe0e077e52ff6e1",
        # golang/mod sumdb/note example
        "sha256:936e684eb42e417e979f9071c5fc7fb2a3e385fc559341d150f81f6d1244534c",
        # GB/T 32918.5, annex A.2 (SM2)
        "sha256:c97c174acc1b56be277862230f92b0f9fa9b83c2aa471ceabb67533a91536bea",
        # RFC 6979, annex A.2.5 (ECDSA P-256)
        "sha256:5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4",
        # RFC 9881, annex C.1: the seed 00 01 … 1f (ML-DSA-65)
        "sha256:b8b62131bfbe84433efb2273d7f5b87f7a22854a2cfd366fc2aead86d837c52d",
    }
)
"""Key ids; see the comment beside each for its source."""
