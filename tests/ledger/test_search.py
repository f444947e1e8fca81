"""The files of one search."""

from __future__ import annotations

import pytest

from tuning.errors import ChangedError, StorageError
from tuning.ledger.begin import begin
from tuning.ledger.records import Death, SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.ledger.winner import FinalistOutcome
from tuning.space.space import Choice, Float, Space
from tuning.study.objective import Minimize
from tuning.trial import Proposal, Status, TrialResult

SPACE = Space({"lr": Float(1e-4, 1e-1, log=True), "shape": Choice((8, 8), None)})
HEADER = SearchHeader(
    study="toy",
    engine="optuna:tpe",
    objective=Minimize("val_rmse"),
    versions=({"epochs": 3, "space": {"lr": "Float(0, 1)"}},),
    trials=2,
)
OUTCOME = FinalistOutcome(number=0, index=0, seed=1, value=1.0, epochs=3)


def opened(folder, header=HEADER, fresh=False, allow_change=False) -> SearchFiles:
    return begin(folder / "key", header, fresh=fresh, allow_change=allow_change)


def test_asks_tells_and_results_come_back_as_they_were(tmp_path):
    files = opened(tmp_path)
    first = Proposal(0, {"lr": 0.1 + 0.2, "shape": (8, 8)}, 3)
    second = Proposal(1, {"lr": 1e-4, "shape": None}, 3, 0, tells=(0,))
    files.write_spec(first)
    files.write_spec(second)
    result = files.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    again = opened(tmp_path)
    assert list(again.proposals(SPACE)) == [first, second]
    assert [again.result(number) for number in (0, 1)] == [result, None]


def test_a_result_is_never_rewritten(tmp_path):
    files = opened(tmp_path)
    first = files.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    assert files.write_result(TrialResult(0, Status.FAILED)) == first
    assert files.result(0) == first


@pytest.mark.parametrize("torn", [b"", b'{"number": 0, "sta', b"\0" * 64])
def test_a_torn_result_counts_as_none_and_is_replaced(tmp_path, torn):
    files = opened(tmp_path)
    files.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    (files.trial_folder(0) / "result.json").write_bytes(torn)
    assert files.result(0) is None
    files.write_result(TrialResult(0, Status.COMPLETED, 0.7))
    assert files.result(0).value == 0.7


def test_a_damaged_last_spec_was_never_asked(tmp_path):
    files = opened(tmp_path)
    files.write_spec(Proposal(0, {"lr": 0.1, "shape": None}, 3))
    files.trial_folder(1).mkdir()
    assert len(list(files.proposals(SPACE))) == 1


def test_a_damaged_spec_in_the_middle_is_told(tmp_path):
    files = opened(tmp_path)
    for number in range(3):
        files.write_spec(Proposal(number, {"lr": 0.1, "shape": None}, 3))
    (files.trial_folder(1) / "spec.json").unlink()
    with pytest.raises(StorageError, match=r"00001/spec\.json is damaged"):
        list(files.proposals(SPACE))


def test_attempts_are_counted_from_one_and_only_deaths_count_against_a_trial(tmp_path):
    files = opened(tmp_path)
    assert [files.begin_attempt(0)[0] for _ in range(3)] == [1, 2, 3]
    files.write_death(0, 2, Death(cause="killed"))
    assert files.deaths(0) == 1


def test_an_attempt_never_takes_a_folder_that_is_there(tmp_path):
    files = opened(tmp_path)
    files.begin_attempt(0)[1].rename(files.trial_folder(0) / "attempt-4")
    assert files.begin_attempt(0)[0] == 5


def test_a_trial_that_is_no_point_of_the_changed_space_is_told(tmp_path):
    files = opened(tmp_path)
    files.write_spec(Proposal(0, {"lr": 0.1, "shape": (8, 8)}, 3))
    for space in (Space({"lr": SPACE["lr"]}), Space({"lr": SPACE["lr"], "shape": Choice(None)})):
        with pytest.raises(
            ChangedError, match=r"trial 0 was .*which is no point of the space any more; --fresh"
        ):
            list(files.proposals(space))
