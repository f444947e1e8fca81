"""The ledger in Optuna's storage: every trial once, in terms that Optuna's plots understand."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace

import pytest

from tests.tracking.writer.searches import SPACE, add_trials, search, spoiled, trial
from tuning.errors import TrialError
from tuning.space.domains import Choice, Float, Int
from tuning.tracking.optuna_storage import OptunaProjection, ensure_storage, merged
from tuning.trial import Proposal, Status


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("optuna") / "optuna.db"
    ensure_storage(f"sqlite:///{path}")
    return path


@pytest.fixture
def url(empty, tmp_path):
    shutil.copyfile(empty, tmp_path / "optuna.db")
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def trials(url, header):
    import optuna

    return optuna.load_study(study_name=header.id, storage=url).trials


def test_the_space_is_read_back_from_the_definition(tmp_path):
    assert search(tmp_path).header.space == SPACE


def test_a_trial_is_added_once_whoever_asks(url, tmp_path):
    header = search(tmp_path).header
    for _ in range(2):
        projection = OptunaProjection(url)
        projection.begin(header)
        for _ in range(2):
            projection.record_trial(*trial(5))
    (stored,) = trials(url, header)
    proposal, result = trial(5)
    assert (stored.user_attrs["number"], stored.value) == (5, result.value)
    assert stored.params["lr"] == proposal.params["lr"]
    assert stored.params["optimizer"] == SPACE["optimizer"].label_of(proposal.params["optimizer"])
    assert len(stored.intermediate_values) == 3


def test_trials_have_the_numbers_of_their_asks_whichever_ends_first(url, tmp_path):
    header = search(tmp_path).header
    projection = OptunaProjection(url)
    projection.begin(header)
    for number in (2, 0, 1):
        projection.record_trial(*trial(number))
    stored = trials(url, header)
    assert {each.number: each.value for each in stored} == {
        number: trial(number)[1].value for number in range(3)
    }


def test_numbers_of_an_earlier_release_are_mended(url, tmp_path):
    header = search(tmp_path).header
    projection = OptunaProjection(url)
    projection.begin(header)
    projection.record_trial(*trial(1))
    projection.close()
    with sqlite3.connect(tmp_path / "optuna.db") as database:  # it was the first to end
        database.execute("UPDATE trials SET number = 0")

    projection = OptunaProjection(url)
    projection.begin(header)
    projection.record_trial(*trial(0))
    assert {each.number for each in trials(url, header)} == {0, 1}
    assert all(each.number == each.user_attrs["number"] for each in trials(url, header))


def test_axes_bear_the_name_of_the_objective(url, tmp_path):
    import optuna

    header = search(tmp_path).header
    OptunaProjection(url).begin(header)
    assert optuna.load_study(study_name=header.id, storage=url).metric_names == ["val_rmse"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.PRUNED, "PRUNED"),
        (Status.FAILED, "FAIL"),
        (Status.DIVERGED, "FAIL"),
        (Status.INFEASIBLE, "PRUNED"),
    ],
)
def test_bad_ends_have_optunas_states(url, tmp_path, status, state):
    header = search(tmp_path).header
    projection = OptunaProjection(url)
    projection.begin(header)
    proposal, result = trial(3)
    projection.record_trial(proposal, spoiled(result, status))
    (stored,) = trials(url, header)
    assert (stored.state.name, stored.user_attrs["status"]) == (state, status.value)
    assert bool(stored.constraints) == (status is Status.INFEASIBLE)


def test_a_space_changed_on_the_way_keeps_all_trials(url, tmp_path):
    files = search(tmp_path)
    add_trials(files, range(4), fault_every=0)
    projection = OptunaProjection(url)
    projection.begin(files.header)
    for number in range(4):
        projection.record_trial(*trial(number))
    first = files.header.definition
    changed = {**first, "space": {**first["space"], "optimizer": repr(Choice("sgd", "rmsprop"))}}
    header = replace(files.header, versions=(first, changed))
    projection.begin(header)
    for number in range(4):
        projection.record_trial(*trial(number))
    projection.record_trial(Proposal(4, {"optimizer": "rmsprop"}, 3), trial(4)[1])
    assert [stored.user_attrs["number"] for stored in trials(url, header)] == [0, 1, 2, 3, 4]


def test_domains_are_merged_wide_enough_for_all_versions():
    old = {"a": Int(1, 5), "b": Choice("x", "y"), "c": Float(0.1, 1.0)}
    new = {"a": Int(3, 9), "b": Choice("y", "z"), "c": Int(1, 2)}
    assert merged([old, new]) == {"a": Int(1, 9), "b": Choice("x", "y", "z"), "c": Int(1, 2)}


def test_a_measured_learning_rate_is_merged_with_the_range_that_release_0_1_wrote_for_it():
    measured = Float.from_range_test().narrowed((1e-3, 1e-2))
    wide = merged([{"lr": Float(1e-4, 1e-3, log=True)}, {"lr": measured}])
    assert wide == {"lr": Float(1e-4, 1e-2, log=True)}


def test_a_trial_that_optuna_refuses_is_named(url, tmp_path):
    projection = OptunaProjection(url)
    projection.begin(search(tmp_path).header)
    proposal, result = trial(0)
    with pytest.raises(TrialError, match="trial 0: "):
        projection.record_trial(proposal, spoiled(result, Status.COMPLETED))


def test_a_damaged_storage_is_kept_and_made_anew(url, tmp_path):
    path = tmp_path / "optuna.db"
    path.write_bytes(path.read_bytes()[:4096] + bytes(8192) + path.read_bytes()[12288:])
    assert ensure_storage(url) == tmp_path / "optuna.db.corrupt"
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
