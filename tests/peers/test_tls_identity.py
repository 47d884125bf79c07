from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from gateway.errors import RefusedError
from gateway.peers.node_ca import generate_tls_key, tls_name
from gateway.peers.roster import Roster
from gateway.peers.tls_identity import TlsIdentities
from tests.federation.provinces import NOW, Province, pem

SHANGHAI, JIANGSU, STRANGER = Province("shanghai"), Province("jiangsu"), Province("hunan")
ROSTER = Roster.of([SHANGHAI.peer(), JIANGSU.peer()])


def refused(leaf: bytes, now=NOW) -> str:
    with pytest.raises(RefusedError) as error:
        TlsIdentities().prove(leaf, ROSTER, now)
    return error.value.reason


def leaf_with_names(names: list[x509.GeneralName]) -> bytes:
    key = generate_tls_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jiangsu")]))
        .issuer_name(SHANGHAI.ca.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return pem(builder.sign(SHANGHAI.ca_key, hashes.SHA256()))


def test_a_leaf_proves_the_node_whose_ca_issued_it() -> None:
    assert TlsIdentities().prove(pem(SHANGHAI.leaf()), ROSTER, NOW).node_id == "shanghai"


def test_a_leaf_in_another_nodes_name_proves_nothing() -> None:
    assert refused(pem(SHANGHAI.leaf(name="jiangsu"))) == "UNKNOWN_PEER"


def test_a_strangers_leaf_proves_nothing_in_whatever_name() -> None:
    assert refused(pem(STRANGER.leaf())) == "UNKNOWN_PEER"
    assert refused(pem(STRANGER.leaf(name="shanghai"))) == "UNKNOWN_PEER"


def test_a_leaf_counts_only_while_it_is_valid() -> None:
    leaf = pem(SHANGHAI.leaf(days=10))
    assert refused(leaf, NOW + timedelta(days=10)) == "UNKNOWN_PEER"
    assert refused(leaf, NOW - timedelta(days=1)) == "UNKNOWN_PEER"


@pytest.mark.parametrize(
    "names",
    [
        [],
        [x509.DNSName(tls_name("shanghai")), x509.DNSName(tls_name("jiangsu"))],
        [x509.DNSName("shanghai")],
        [x509.UniformResourceIdentifier("https://" + tls_name("shanghai"))],
    ],
    ids=["no name", "two names", "without suffix", "not a DNS name"],
)
def test_only_one_name_of_the_right_form_counts(names: list[x509.GeneralName]) -> None:
    assert refused(leaf_with_names(names)) == "UNKNOWN_PEER"


def test_no_certificate_proves_nothing() -> None:
    assert refused(b"") == "UNKNOWN_PEER"


def test_what_was_proved_is_forgotten_when_the_peer_is_removed() -> None:
    identities, leaf = TlsIdentities(), pem(SHANGHAI.leaf())
    identities.prove(leaf, ROSTER, NOW)
    with pytest.raises(RefusedError):
        identities.prove(leaf, Roster.of([JIANGSU.peer()]), NOW)


def test_what_was_proved_expires_with_the_leaf() -> None:
    identities, leaf = TlsIdentities(), pem(SHANGHAI.leaf(days=10))
    identities.prove(leaf, ROSTER, NOW)
    with pytest.raises(RefusedError):
        identities.prove(leaf, ROSTER, NOW + timedelta(days=11))


def test_a_node_ca_is_constrained_to_its_own_name() -> None:
    constraints = SHANGHAI.ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert [n.value for n in constraints.value.permitted_subtrees or ()] == [tls_name("shanghai")]
