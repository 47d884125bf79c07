"""When a step of a key's change is due, that it survives interruption anywhere, and what is refused."""

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import system_clock
from gateway.errors import CallerError, ConfigError, KeyFileError
from gateway.node.card_file import present_card
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder, init_node, is_leaf_due, load_keys, renew_leaf
from gateway.node.key_list import list_keys
from gateway.node.reload import merge
from gateway.node.rotating import (
    TakenUp,
    begin,
    begin_epoch,
    cancel,
    renew_leaf_soon,
    retire,
    switch,
    tidy,
    waits_for,
)
from gateway.node.rotation_plan import ANNOUNCED, SWITCHED, changing_plan, live_epochs, read_plan
from gateway.peers.card import Card
from gateway.schemes import load_scheme
from tests.processes.provinces import EXAMPLES

NOW = system_clock().replace(microsecond=0)
ROLES = ("signing", "log", "witness", "tls-ca")
ALL_HAVE_IT = TakenUp((), NOW - timedelta(days=1))


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    init_node(tmp_path, "zhejiang", example=EXAMPLES / "zhejiang", settings={}, now=NOW)
    return NodeFolder(tmp_path)


def keys_of(folder: NodeFolder):
    return load_keys(folder, load_config(folder.root))


def card_of(folder: NodeFolder) -> Card:
    config = load_config(folder.root)
    return present_card(folder, config, keys_of(folder), load_scheme(folder.scheme).reference, NOW)


def step_of(folder: NodeFolder, role: str):
    return read_plan(folder.keys).step_of(role)


def switched(folder: NodeFolder, role: str, *, tidied: bool = True):
    with changing_plan(folder.keys) as file:
        switch(folder, file, file.plan.step_of(role), NOW)
    if tidied:
        tidy(folder, step_of(folder, role))
    return step_of(folder, role)


def in_use(folder: NodeFolder, role: str) -> str:
    lines = [line for line in list_keys(folder, system_clock).keys if line.role == role]
    return next(line.key_id for line in lines if line.state == "active")


@pytest.mark.parametrize("role", ROLES)
def test_a_key_goes_its_whole_way(folder: NodeFolder, role: str) -> None:
    first, before = card_of(folder), in_use(folder, role)
    (step,) = begin(folder, role, NOW)
    announced = card_of(folder)
    assert in_use(folder, role) == before == step.old
    assert announced.serial > first.serial
    assert len(announced.cas) + len(announced.keys) == len(first.cas) + len(first.keys) + 1
    step = switched(folder, role)
    assert in_use(folder, role) == step.new != step.old
    overlapping = card_of(folder)
    assert overlapping.serial > announced.serial
    with changing_plan(folder.keys) as file:
        retire(folder, file, step)
    last = card_of(folder)
    assert len(last.cas) + len(last.keys) == len(first.cas) + len(first.keys)
    assert in_use(folder, role) == step.new
    assert not list(folder.keys.glob("*-next.*")) + list(folder.keys.glob("*-previous.*"))
    assert read_plan(folder.keys).step == ()


@pytest.mark.parametrize("role", ROLES)
def test_an_interruption_anywhere_leaves_the_right_key_in_use(folder: NodeFolder, role: str) -> None:
    (step,) = begin(folder, role, NOW)
    assert begin(folder, role, NOW) == [step]  # asked again, nothing else happens
    step = switched(folder, role, tidied=False)  # the machine stopped before any file was renamed
    assert in_use(folder, role) == step.new
    present = folder.key(step.slot)
    present.replace(
        present.with_name(present.name.replace(".pem", "-previous.pem"))
    )  # … after the first rename
    assert in_use(folder, role) == step.new
    tidy(folder, step)
    tidy(folder, step)
    assert in_use(folder, role) == step.new
    with changing_plan(folder.keys) as file:
        retire(folder, file, step)
    assert in_use(folder, role) == step.new


def test_a_key_that_no_plan_names_was_never_announced(folder: NodeFolder) -> None:
    folder.key("message-next.pem").write_text("half written", encoding="ascii")
    (step,) = begin(folder, "signing", NOW)
    assert keys_of(folder).slots[0].other.key_id == step.new


def test_a_step_waits_for_its_time_then_for_the_peers_then_settles(folder: NodeFolder) -> None:
    (step,) = begin(folder, "signing", NOW)
    assert step.phase == ANNOUNCED
    later = step.switch_at + timedelta(seconds=1)
    assert "until" in waits_for(step, NOW, ALL_HAVE_IT, 60)
    assert "anhui has not taken up the card" in waits_for(step, later, TakenUp(("anhui",), None), 60)
    assert "under way" in waits_for(step, later, TakenUp((), later - timedelta(seconds=59)), 60)
    assert waits_for(step, later, TakenUp((), later - timedelta(seconds=60)), 60) == ""
    assert waits_for(step, step.wait_until, TakenUp(("anhui",), None), 60) == ""
    assert waits_for(step.model_copy(update={"forced": True}), NOW, TakenUp(("anhui",), None), 60) == ""


def test_the_old_key_goes_after_its_end_and_the_peers_word(folder: NodeFolder) -> None:
    begin(folder, "signing", NOW)
    step = switched(folder, "signing")
    assert step.phase == SWITCHED
    assert step.retire_at == NOW + timedelta(days=7)
    forced = step.model_copy(update={"forced": True})
    assert "until" in waits_for(
        forced, NOW, ALL_HAVE_IT, 60
    )  # --force never cuts the overlap that the card states
    assert "anhui" in waits_for(step, step.retire_at, TakenUp(("anhui",), None), 60)
    assert waits_for(step, step.retire_at, ALL_HAVE_IT, 60) == ""


def test_a_change_is_given_up_only_while_announced(folder: NodeFolder) -> None:
    before = card_of(folder)
    begin(folder, "log", NOW)
    cancel(folder, "log")
    assert not folder.key("log-next.pem").exists()
    assert set(card_of(folder).keys) == set(before.keys)
    begin(folder, "log", NOW)
    switched(folder, "log")
    with pytest.raises(CallerError, match="it is done"):
        cancel(folder, "log")


def test_what_does_not_fit_is_refused(folder: NodeFolder) -> None:
    with pytest.raises(CallerError, match="--to"):
        begin(folder, "signing", NOW, to="pkcs11:object=x")
    folder.key("rotation.toml").write_text("[[step]]\nrole = 'signing'\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rotation\.toml: step\.0\.slot"):
        keys_of(folder)
    folder.key("rotation.toml").write_text("not toml", encoding="utf-8")
    with pytest.raises(ConfigError, match="rotation"):
        keys_of(folder)


def test_a_lost_key_is_named(folder: NodeFolder) -> None:
    begin(folder, "witness", NOW)
    folder.key("witness-next.pem").unlink()
    with pytest.raises(KeyFileError, match="next key of witness"):
        keys_of(folder)
    cancel(folder, "witness")
    assert keys_of(folder).witness is not None


def test_the_leaf_is_issued_anew_when_wanted_foreign_or_half_written(folder: NodeFolder) -> None:
    config = load_config(folder.root)
    assert not is_leaf_due(keys_of(folder), NOW)
    renew_leaf_soon(folder, NOW + timedelta(seconds=10))
    assert is_leaf_due(keys_of(folder), NOW)
    renew_leaf(folder, config, NOW + timedelta(seconds=10))
    assert not is_leaf_due(keys_of(folder), NOW)
    certificate = folder.key("tls-leaf.crt").read_bytes()
    renew_leaf(folder, config, NOW + timedelta(seconds=20))
    folder.key("tls-leaf.crt").write_bytes(certificate)  # as after a stop between the two files
    assert is_leaf_due(keys_of(folder), NOW)
    renew_leaf(folder, config, NOW + timedelta(seconds=30))
    begin(folder, "tls-ca", NOW)
    assert not is_leaf_due(keys_of(folder), NOW)
    switched(folder, "tls-ca")
    assert is_leaf_due(keys_of(folder), NOW)


def test_epochs_follow_one_another(folder: NodeFolder) -> None:
    config = load_config(folder.root)
    begin_epoch(folder, "2027", None, NOW, forced=False)
    assert live_epochs(config, read_plan(folder.keys)) == ["2026"]
    with pytest.raises(CallerError, match="under way"):
        begin_epoch(folder, "2028", None, NOW, forced=False)
    with changing_plan(folder.keys) as file:
        switch(folder, file, file.plan.step_of("federation"), NOW)
    assert live_epochs(config, read_plan(folder.keys)) == ["2027", "2026"]
    with changing_plan(folder.keys) as file:
        retire(folder, file, file.plan.step_of("federation"))
    assert live_epochs(config, read_plan(folder.keys)) == ["2027"]
    assert read_plan(folder.keys).retired_epochs == ("2026",)
    with pytest.raises(CallerError, match="cannot follow"):
        begin_epoch(folder, "2026", None, NOW, forced=False)


def test_what_only_a_start_can_change_is_named_and_left(folder: NodeFolder) -> None:
    old = load_config(folder.root)
    new = old.model_copy(
        update={
            "listen": old.listen.model_copy(update={"peers": "127.0.0.1:1"}),
            "limits": old.limits.model_copy(update={"threads": 3, "drain_s": 7.0}),
            "asking": old.asking.model_copy(update={"attempts_max": 1}),
        }
    )
    merged, named = merge(old, new)
    assert named == ["listen", "limits.threads"]
    assert merged.listen == old.listen
    assert (merged.limits.threads, merged.limits.drain_s) == (old.limits.threads, 7.0)
    assert merged.asking.attempts_max == 1
