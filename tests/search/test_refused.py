"""Trials that break a constraint before they are trained: budget, failures, and an end to them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.search.scripted import RECORD, ScriptedEngine, ScriptedExecutor, files_in, make_loop
from tuning.errors import SearchFailed
from tuning.executors.base import Finished
from tuning.ledger.winner import Standing
from tuning.scoring.pareto import Scale
from tuning.search import loop as search_loop
from tuning.search.choice import best_standing, is_eligible
from tuning.space.constraints import constraints_of
from tuning.study.objective import Maximize, Minimize
from tuning.trial import Status, TrialResult

LIMIT = "n_parameters <= 5"


class RefusingExecutor(ScriptedExecutor):
    """Refuses trials whose x is above 100, as a worker does; fails those at 50."""

    def _end(self, job, proposal, attempt, pruned):
        x = proposal.params["x"]
        if x > 100:
            result = TrialResult(
                proposal.number, Status.INFEASIBLE, error="too large", violations={LIMIT: 1.0}
            )
        elif x == 50:
            result = TrialResult(proposal.number, Status.FAILED, error="ValueError: no")
        else:
            return super()._end(job, proposal, attempt, pruned)
        self.files.write_result(result)
        return Finished(job, result)


def run(folder, points, **changes):
    files = files_in(folder)
    engine = ScriptedEngine(points)
    loop = make_loop(engine, RefusingExecutor(files), replace(RECORD, **changes))
    loop.replay()
    loop.run()
    return loop


def test_refused_trials_do_not_count_to_the_budget(tmp_path):
    points = [200, 1, 300, 2, 400, 3, 4]
    loop = run(tmp_path, points, trials=3)
    statuses = loop.trial_index.statuses
    assert statuses.count(Status.COMPLETED) == 3
    assert statuses.count(Status.INFEASIBLE) == 3
    assert loop.trial_index.never_trained == 3


def test_a_search_that_is_gone_on_with_counts_them_alike(tmp_path):
    points = [200, 1, 300, 2, 400, 3, 4, 5]
    run(tmp_path, points, trials=2)
    loop = run(tmp_path, points, trials=4)
    assert loop.trial_index.statuses.count(Status.COMPLETED) == 4
    assert len(loop.trial_index.proposals) == 7


def test_too_many_in_a_row_end_the_search_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(search_loop, "MOST_REFUSED", 4)
    loop = run(tmp_path, [1, *range(101, 200)], trials=50)
    assert loop.ended == "exhausted"
    assert len(loop.trial_index.proposals) == 5
    again = run(tmp_path, [1, *range(101, 200)], trials=50)
    assert (again.ended, len(again.trial_index.proposals)) == ("exhausted", 5)


def test_refused_trials_are_no_failures_and_excuse_none(tmp_path):
    with pytest.raises(SearchFailed, match="3 trials failed in a row"):
        # Equal failures are trained again each time.
        run(tmp_path, [50, 200, 50, 300, 50, 1], trials=6, max_failures=3)
    loop = run(tmp_path / "other", [200, 300, 400, 1, 2], trials=2, max_failures=2)
    assert loop.ended == "completed"


# The choice among finalists.


def standing(number, *rows):
    return Standing(
        number=number,
        params={},
        epochs=1,
        seeds=tuple(range(len(rows))),
        weights=(None,) * len(rows),
        values=tuple(row["val_a"] for row in rows),
        figures=rows,
    )


def point(a, b, n=1.0):
    return {"val_a": a, "val_b": b, "n_parameters": n}


STUDY = replace(
    RECORD,
    objective=Maximize("val_a"),
    objectives=(Maximize("val_a"), Minimize("val_b")),
    constraints=constraints_of([LIMIT]),
)
SCALE = Scale((-1.0, 0.0), (0.0, 1.0))


def test_the_winner_of_several_objectives_is_the_knee_by_means_over_seeds():
    extremes = (standing(0, point(1.0, 1.0)), standing(1, point(0.0, 0.0)))
    middle = standing(2, point(0.7, 0.1), point(0.9, 0.3))
    assert best_standing([*extremes, middle], STUDY, SCALE) is middle
    by_b = replace(STUDY, winner_by="val_b")
    assert best_standing([*extremes, middle], by_b, SCALE) is extremes[1]


def test_a_finalist_that_breaks_a_constraint_on_the_mean_cannot_win():
    best = standing(0, point(0.9, 0.1, 4.0), point(0.9, 0.1, 8.0))
    other = standing(1, point(0.5, 0.5))
    assert not is_eligible(best, STUDY)
    assert best_standing([best, other], STUDY, SCALE) is other


def test_with_one_objective_constraints_hold_for_the_winner_too():
    one = replace(STUDY, objectives=())
    large = standing(0, point(0.9, 0.1, 8.0))
    small = standing(1, point(0.5, 0.5))
    assert best_standing([large, small], one, None) is small


def test_without_a_figure_nothing_is_known_to_hold():
    bare = replace(standing(0, point(0.9, 0.1)), figures=())
    assert not is_eligible(bare, STUDY)
    assert is_eligible(bare, SimpleNamespace(constraints=()))
