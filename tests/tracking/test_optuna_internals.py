"""Trials written at once leave the rows that Optuna's own call leaves."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

from tests.tracking.writer.searches import search, spoiled, trial
from tuning.tracking.optuna_storage import OptunaProjection, ensure_storage
from tuning.trial import Status

TABLES = (
    "trials",
    "trial_values",
    "trial_params",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_intermediate_values",
)


def trials():
    ends = [Status.PRUNED, Status.FAILED, Status.DIVERGED, Status.INFEASIBLE]
    made = [trial(0), trial(1, folds=2), trial(2, epochs=60)]
    for number, end in enumerate(ends, 3):
        proposal, result = trial(number)
        made.append((proposal, spoiled(result, end)))
    return made


def projection(folder, header):
    url = f"sqlite:///{folder / 'optuna.db'}"
    ensure_storage(url)
    made = OptunaProjection(url)
    made.begin(header)
    return made


def rows(folder):
    """Return the rows of each table without their own ids."""
    found = {}
    with closing(sqlite3.connect(folder / "optuna.db")) as db:
        for table in TABLES:
            cursor = db.execute(f"SELECT * FROM {table}")
            first = 0 if table == "trials" else 1
            found[table] = sorted(str(row[first:]) for row in cursor)
    return found


def test_trials_written_at_once_are_row_by_row_what_optuna_writes(tmp_path):
    header = search(tmp_path).header
    at_once = projection(tmp_path / "at_once", header)
    assert at_once.record_trials(trials()) == []
    by_optuna = projection(tmp_path / "by_optuna", header)
    for proposal, result in trials():
        by_optuna._study.add_trial(by_optuna._frozen(proposal, result))
    written = rows(tmp_path / "at_once")
    expected = rows(tmp_path / "by_optuna")
    for table in TABLES:
        assert written[table] == expected[table], table


def test_a_trial_that_was_trained_again_takes_its_old_place(tmp_path):
    header = search(tmp_path).header
    made = projection(tmp_path, header)
    made.record_trials([trial(0), trial(1), trial(2)])
    proposal, result = trial(1, epochs=5)
    made.record_trials([(proposal, replace(result, attempt=2, value=0.125)), trial(3)])
    stored = made._study.get_trials()
    assert [each.user_attrs["number"] for each in stored] == [0, 1, 2, 3]
    assert [each.number for each in stored] == [0, 1, 2, 3]
    assert (stored[1].value, stored[1].user_attrs["attempt"]) == (0.125, 2)
    assert len(stored[1].intermediate_values) == 5


def test_optuna_keeps_a_trials_constraints_under_this_name():
    from optuna.study import _constrained_optimization

    from tuning.tracking import optuna_internals

    assert _constrained_optimization._CONSTRAINTS_KEY == optuna_internals.CONSTRAINTS
