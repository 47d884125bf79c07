import pytest

from gateway.errors import ConfigError
from gateway.node.config import parse_config
from gateway.signing.key_uri import parse_key_uri

REST = "?module-path=/usr/lib/hsm.so"


def test_a_uri_names_module_token_and_key() -> None:
    uri = parse_key_uri(
        "pkcs11:token=%E6%B5%99%E6%B1%9F;serial=12;object=message%20key;id=%00%FF;type=private"
        "?module-path=/usr/lib/hsm.so&pin-source=file:keys/pin"
    )
    assert (uri.token, uri.serial, uri.label, uri.id) == ("浙江", "12", "message key", b"\x00\xff")
    assert (uri.module_path, uri.pin_source) == ("/usr/lib/hsm.so", "keys/pin")


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        (f"pkcs11:token=t;object=k{REST}&pin-value=1234", "pin-value"),
        (f"pkcs11:token=t;object=k;pin-value=1234{REST}", "pin-value"),
        (f"pkcs11:token=t;object=k{REST}&pin-source=|cat", "no programs"),
        (f"pkcs11:token=t{REST}", "object or id"),
        (f"pkcs11:object=k{REST}", "token"),
        ("pkcs11:token=t;object=k", "module-path"),
        (f"pkcs11:token=t;token=u;object=k{REST}", "twice"),
        (f"pkcs11:token=t;object=k;type=public{REST}", "private"),
        (f"pkcs11:token=t;object=k;slot-id=1{REST}", "slot-id"),
        (f"pkcs11:token=%ff;object=k{REST}", "utf-8"),
        ("../message.pem", "file in keys/"),
        ("/etc/message.pem", "file in keys/"),
        ("message", "file in keys/"),
    ],
)
def test_a_wrong_source_is_refused_where_it_stands(uri: str, told: str) -> None:
    settings = {
        "node": {"id": "zhejiang", "names": {"en": "Zhejiang"}},
        "listen": {"peers": "127.0.0.1:1", "operator": "127.0.0.1:2", "metrics": "127.0.0.1:3"},
        "card": {"endpoints": ["127.0.0.1:1"]},
        "audit": {"origin": "audit.zhejiang.example/2026"},
        "keys": {"message": [uri]},
    }
    with pytest.raises(ConfigError, match=r"keys\.message") as error:
        parse_config(settings, "node.toml")
    assert told in str(error.value)
    assert "1234" not in str(error.value)
