"""One whole search in one worker, and the check of a study before."""

from __future__ import annotations

import cloudpickle
import pytest

from tests.trials.small_study import ScriptedContext, net, study
from tuning import Minimize
from tuning.bench.budget import Budget
from tuning.bench.plan import CheckRequest, parse_choices
from tuning.bench.runs import BenchRun
from tuning.bench.worker import check_study, run_search
from tuning.errors import StudyError
from tuning.ledger.results import read_test_score
from tuning.ledger.search import SearchFiles
from tuning.space.domains import Choice, Float
from tuning.study.study_fields import NO_OBJECTIVE

SPACE = {"lr": Float(1e-3, 0.1, log=True), "batch_size": Choice(8, 16, 32)}


def check(folder, engines, budget, seeds=1, **changes):
    source = cloudpickle.dumps(study(**{"space": SPACE, **changes}))
    request = CheckRequest(
        source=source,
        changes={},
        choices=parse_choices(engines),
        seeds=seeds,
        budget=budget,
        home=folder,
    )
    return check_study(request, ScriptedContext())


def searches(folder, engines, budget, seeds=1, **changes):
    return check(folder, engines, budget, seeds, **changes).searches


def one(folder, engine, budget, **changes):
    return searches(folder, engine, budget, **changes)[0]


def results(search):
    files = SearchFiles(search.folder)
    known = []
    while (result := files.result(len(known))) is not None:
        known.append(result)
    return known


def plain(run):
    """What must be equal between two runs of one search."""
    return run.curve.epochs, run.curve.values, run.curve.tests, run.counts, run.best


@pytest.mark.parametrize("engine", ["optuna:tpe", "keras-tuner:hyperband", "randomizedsearchcv"])
def test_a_search_uses_its_budget_of_epochs_to_the_last_one(tmp_path, engine):
    context = ScriptedContext()
    search = one(tmp_path, engine, Budget("epochs", 11))
    run = run_search(search, Budget("epochs", 11), context)
    assert (run.ended, run.epochs, context.retired) == ("budget", 11, True)
    assert (
        sum(result.epochs for result in results(search))
        + (len(run.curve.epochs) - len(results(search))) * 3
        >= 11
    )
    assert list(run.curve.epochs) == sorted(run.curve.epochs)
    assert run.curve.values[-1] == min(r.value for r in results(search))
    assert len(run.curve.asked_s) == len(run.curve.epochs)
    assert BenchRun.read(search.folder) == run


def test_the_trial_the_budget_has_stopped_costs_its_epochs_and_brings_nothing(tmp_path):
    budget = Budget("epochs", 6)
    search = one(tmp_path, "optuna:random", budget)
    run = run_search(search, budget, ScriptedContext())
    assert run.curve.epochs == (4, 6)
    assert len(results(search)) == 1
    assert run.curve.values == (results(search)[0].value,) * 2


def test_a_budget_of_trials_ends_after_them(tmp_path):
    budget = Budget("trials", 3)
    run = run_search(one(tmp_path, "optuna:tpe", budget), budget, ScriptedContext())
    assert (run.ended, run.counts.completed, run.curve.epochs) == ("budget", 3, (4, 8, 12))


def test_the_test_score_is_that_of_the_incumbents_weights_and_no_engine_is_told_it(tmp_path):
    budget = Budget("trials", 3)
    search = one(tmp_path, "optuna:tpe", budget)
    run = run_search(search, budget, ScriptedContext())
    scores = [read_test_score(SearchFiles(search.folder).trial_folder(n)) for n in range(3)]
    assert run.curve.tests[-1] == scores[run.best.number] == run.best.test
    assert not any("test" in name for result in results(search) for name in result.metrics)


def test_a_pruner_saves_epochs_and_pruned_trials_count_with_theirs(tmp_path):
    budget = Budget("epochs", 40)
    search = one(tmp_path, "optuna:random+asha", budget, epochs=9)
    run = run_search(search, budget, ScriptedContext())
    pruned = [result for result in results(search) if result.status.value == "pruned"]
    assert len(pruned) == run.counts.pruned > 0
    assert (run.epochs, run.curve.epochs[0]) == (40, results(search)[0].epochs)


def test_folds_that_had_ended_before_an_interruption_count_against_the_budget(tmp_path):
    budget = Budget("epochs", 15)
    whole = run_search(
        one(tmp_path / "a", "optuna:random", budget, cv=2), budget, ScriptedContext()
    )
    search = one(tmp_path / "b", "optuna:random", budget, cv=2)
    assert (
        run_search(search, budget, ScriptedContext("stop", at=13)) is None
    )  # in the second trial's second fold
    assert plain(run_search(search, budget, ScriptedContext())) == plain(whole)
    assert len(results(search)) == 1


def test_a_search_told_to_stop_goes_on_as_if_nothing_had_happened(tmp_path):
    budget = Budget("epochs", 18)
    straight = one(tmp_path / "a", "optuna:tpe", budget)
    whole = run_search(straight, budget, ScriptedContext())
    search = one(tmp_path / "b", "optuna:tpe", budget)
    assert run_search(search, budget, ScriptedContext("stop", at=9)) is None
    assert BenchRun.read(search.folder) is None
    context = ScriptedContext()
    assert plain(run_search(search, budget, context)) == plain(whole)
    assert context.reports[0].number == 2  # trials 0 and 1 were not trained again


def test_an_engine_with_few_points_ends_early_and_says_so(tmp_path):
    budget = Budget("epochs", 100)
    run = run_search(
        one(tmp_path, "keras-tuner:random", budget, space={"batch_size": Choice(8, 16)}),
        budget,
        ScriptedContext(),
    )
    assert (run.ended, run.epochs) == ("exhausted", 8)


def test_an_equal_proposal_costs_what_the_first_did_and_is_not_trained(tmp_path):
    budget = Budget("epochs", 22)
    search = one(tmp_path, "optuna:random", budget, space={"batch_size": Choice(8, 16)})
    context = ScriptedContext()
    run = run_search(search, budget, context)
    assert run.counts.copied >= 3
    assert run.epochs == 22
    assert len(context.reports) < 22


def broken(lr=0.1):
    if lr > 0.00101:  # the check builds at the low end
        raise RuntimeError("no such layer")
    return net(lr)


def test_a_search_of_nothing_but_failures_ends_as_failed_with_its_cost(tmp_path):
    budget = Budget("epochs", 50)
    run = run_search(
        one(tmp_path, "optuna:random", budget, builder=broken, max_failures=3),
        budget,
        ScriptedContext(),
    )
    assert (run.ended, run.best, run.counts.failed) == ("failed", None, 3)
    assert "3 trials failed in a row, the last with: RuntimeError: no such layer" in run.error
    assert run.curve.values == (None,) * len(run.curve.epochs)


def test_searches_of_one_seed_have_one_split_and_stand_together(tmp_path):
    planned = searches(tmp_path, "optuna:tpe,gridsearchcv", Budget("trials", 2), seeds=2)
    assert [(search.choice.name, search.seed) for search in planned] == [
        ("optuna:tpe", 0),
        ("gridsearchcv", 0),
        ("optuna:tpe", 1),
        ("gridsearchcv", 1),
    ]
    assert (
        planned[0].overrides["seed"] == planned[1].overrides["seed"] != planned[2].overrides["seed"]
    )
    assert len({search.folder for search in planned}) == 4


def test_what_an_engine_cannot_search_is_told_before_anything_is_trained(tmp_path):
    space = {f"x{i}": Choice(*range(11)) for i in range(7)}
    with pytest.raises(StudyError, match="gridsearchcv: space: the grid has 19,487,171 points"):
        searches(
            tmp_path, "optuna:tpe,gridsearchcv", Budget("trials", 2), builder=seven, space=space
        )
    assert not list(tmp_path.iterdir())


def test_several_objectives_are_compared_by_the_first_and_it_says_so(tmp_path):
    objectives = [Minimize("val_rmse"), Minimize("n_parameters")]
    both = {"objective": NO_OBJECTIVE, "objectives": objectives}
    budget = Budget("trials", 2)
    checked = check(tmp_path, "optuna:tpe", budget, **both)
    assert checked.compared_by == (
        "val_rmse alone, the first of 2 objectives: engines seek n_parameters too, and no front is "
        "compared"
    )
    run = run_search(checked.searches[0], budget, ScriptedContext())
    assert run.curve.values[-1] == min(result.value for result in results(checked.searches[0]))


def seven(x0=0, x1=0, x2=0, x3=0, x4=0, x5=0, x6=0):
    return net()
