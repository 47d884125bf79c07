"""A peer with whom nothing is wrong: every step says so, and the verdict too."""

from gateway.doctor.step import State
from tests.doctor.clinic import Clinic


def test_every_step_of_a_healthy_pair_is_right(ward: Clinic) -> None:
    ward.serve()
    steps, verdict = ward.examine()
    assert [(step.name, step.finding) for step in steps if step.state is not State.OK] == []
    assert verdict.state is State.OK
    assert [step.name for step in steps] == [
        "standing",
        "version",
        "maintenance",
        "name",
        "connection",
        "tls",
        "certificate",
        "echo",
        "clock",
        "our card",
        "their card",
        "message size",
        "federation secret",
        "log",
        "grants to us",
        "grants to them",
    ]
    assert all(step.tried and step.seen and step.expected for step in steps)
