"""Records under a new epoch of the federation secret, on both engines: found under both, lost under neither."""

from gateway.learners.subject_token import FederationSecret, subject_token
from tests.records.conftest import Desk
from tests.records.synthetic import SECRET, learner_id, make_row, make_rows

KINDS = range(1, 13)
NEXT = FederationSecret("2027", bytes(range(100, 132)))
THIRD = FederationSecret("2028", bytes(range(50, 82)))


def token(number: int, secret: FederationSecret = SECRET) -> bytes:
    return subject_token(secret, "resident-id", learner_id(number))


def found(desk: Desk, number: int, secret: FederationSecret) -> list[str]:
    return [r.record_id for r in desk.registry.find([token(number, secret)], KINDS)[0]]


def test_records_are_found_under_both_epochs(any_desk: Desk) -> None:
    any_desk.take_rows(list(make_rows(20)))
    before = found(any_desk, 0, SECRET), found(any_desk, 1, SECRET)
    assert all(before)
    assert found(any_desk, 0, NEXT) == []
    assert any_desk.registry.count_under_other_epochs("2027") == (20, 0)
    assert any_desk.registry.rekey([(token(0), token(0, NEXT))], "2027") == 10
    assert any_desk.registry.count_under_other_epochs("2027") == (10, 0)
    for secret in (SECRET, NEXT):
        assert found(any_desk, 0, secret) == before[0]
    assert found(any_desk, 1, SECRET) == before[1]
    assert found(any_desk, 1, NEXT) == []
    both = any_desk.registry.find([token(0), token(0, NEXT), token(1)], KINDS)
    assert [len(records) for records in both] == [10, 10, 10]


def test_rekeying_again_changes_nothing(any_desk: Desk) -> None:
    any_desk.take_rows(list(make_rows(10)))
    assert any_desk.registry.rekey([(token(0), token(0, NEXT))], "2027") == 10
    assert any_desk.registry.rekey([(token(0), token(0, NEXT)), (token(9), token(9, NEXT))], "2027") == 0
    assert any_desk.registry.tokens_of(token(0, NEXT)) == [token(0, NEXT), token(0)]
    assert any_desk.registry.tokens_of(token(0)) == [token(0, NEXT), token(0)]
    assert any_desk.registry.tokens_of(token(9)) == [token(9)]


def test_three_epochs_in_a_row(any_desk: Desk) -> None:
    any_desk.take_rows(list(make_rows(10)))
    any_desk.registry.rekey([(token(0), token(0, NEXT))], "2027")
    any_desk.registry.rekey([(token(0, NEXT), token(0, THIRD))], "2028")
    assert any_desk.registry.count_under_other_epochs("2028") == (0, 0)
    for secret in (SECRET, NEXT, THIRD):
        assert len(found(any_desk, 0, secret)) == 10
    assert set(any_desk.registry.tokens_of(token(0))) == {token(0, s) for s in (SECRET, NEXT, THIRD)}


def test_importing_the_same_file_again_moves_its_records(any_desk: Desk) -> None:
    rows = list(make_rows(30))
    any_desk.take_rows(rows)
    report = any_desk.take_rows(rows, secret=NEXT, older_secrets=[SECRET])
    assert (report.unchanged, report.refused) == (30, 0)
    assert any_desk.registry.count_under_other_epochs("2027") == (0, 0)
    for secret in (SECRET, NEXT):
        assert [len(found(any_desk, number, secret)) for number in range(3)] == [10, 10, 10]


def test_a_new_record_is_found_under_the_older_epoch_too(any_desk: Desk) -> None:
    any_desk.take_rows([make_row(0)], secret=NEXT, older_secrets=[SECRET])
    assert found(any_desk, 0, SECRET) == found(any_desk, 0, NEXT) != []


def test_a_refused_import_moves_nothing(any_desk: Desk) -> None:
    rows = list(make_rows(10))
    any_desk.take_rows(rows)
    report = any_desk.take_rows([*rows, make_row(11) | {"title": ""}], secret=NEXT, older_secrets=[SECRET])
    assert report.refused
    assert any_desk.registry.count_under_other_epochs("2027") == (10, 0)
    assert len(found(any_desk, 0, SECRET)) == 10
