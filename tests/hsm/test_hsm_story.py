"""A node whose keys lie in a module: asked, asking, its log verified, its PIN nowhere to be seen."""

from pathlib import Path

from gateway.signing.key_files import write_private_file
from tests.processes.provinces import ProcessNode, cli, introduce, make_node
from tests.softhsm import PIN, SoftHsm


def with_keys_in_module(node: ProcessNode, hsm: SoftHsm) -> None:
    uris = {name: hsm.uri(name, "file:keys/pin") for name in ("message", "log", "witness")}
    for name in uris:
        node.folder.key(f"{name}.pem").unlink()
    with node.folder.config.open("a", encoding="utf-8") as config:
        config.write(f'\n[keys]\nmessage = ["{uris["message"]}", "message-sm2.pem"]\n')
        config.write(f'log = "{uris["log"]}"\nwitness = "{uris["witness"]}"\n')
    write_private_file(node.folder.key("pin"), PIN.encode())


def test_a_node_with_its_keys_in_a_module(hsm: SoftHsm, tmp_path: Path) -> None:
    anhui = make_node(tmp_path, "anhui")
    # The module's keys are there before the node; beside them a file of SM2 makes a second signature.
    shanghai = make_node(tmp_path, "shanghai", secret_from=anhui)
    with_keys_in_module(shanghai, hsm)
    root = str(shanghai.folder.root)
    told = cli("init", root, "--id", "shanghai", "--suite", "ed25519+sm2").stdout
    assert "created keys/message-sm2.pem" in told
    assert "keys/message.pem" not in told
    introduce(anhui, shanghai)
    try:
        anhui.start(is_forked=False)
        shanghai.start(is_forked=False)
        command = Path(f"/proc/{shanghai.process.pid}/cmdline").read_bytes()
        assert PIN.encode() not in command
        for asker, answerer in ((anhui, "shanghai"), (shanghai, "anhui")):
            (result,) = asker.query("--peer", answerer)["peers"]
            assert (result["outcome"], result["receipt_verified"]) == ("OK", True)
        cli("audit", "verify", "--node", root, "--ask-peers")
        assert shanghai.stop() == 0
    finally:
        for node in (anhui, shanghai):
            node.close()
    assert PIN not in shanghai.log_text + anhui.log_text
    assert {key.key.suite.name for key in shanghai.card.keys.values()} == {"ed25519", "sm2", "ecdsa-p256"}


def test_the_check_says_what_is_wrong(hsm: SoftHsm, tmp_path: Path) -> None:
    shanghai = make_node(tmp_path, "shanghai", records=False)
    with_keys_in_module(shanghai, hsm)
    shanghai.folder.key("pin").unlink()
    shown = cli("check", "--node", str(shanghai.folder.root), "--output", "json", check=None)
    assert "pin is missing" in shown.stdout
    assert PIN not in shown.stdout + shown.stderr
