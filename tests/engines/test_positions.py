"""Engines that search a rate's position in each structure's own interval."""

from __future__ import annotations

import pytest

from tuning.engines.catalog import make_engine
from tuning.errors import StudyError
from tuning.space.domains import Choice, Float, Int
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trial import Status, TrialResult

ROWS = [["", None, 0.01, 0.1], ["optimizer", "sgd", 0.1, 1.0]]


def study(**changes) -> Study:
    def builder(lr=0.1, n_hidden=1, optimizer="adam"):
        return None

    space = {
        "optimizer": Choice("adam", "sgd"),
        "n_hidden": Int(1, 3),
        "lr": Float.from_range_test(1e-4, 1.0, per_structure=True),
    }
    given = {
        "name": "a",
        "builder": builder,
        "data": lambda: None,
        "objective": Minimize("val_loss"),
        "space": space,
        "intervals": {"lr": ROWS},
        "trials": 12,
    }
    return Study(**{**given, **changes})


def proposals(defined: Study):
    engine = make_engine(defined, lambda: None)
    for number in range(12):
        proposal = engine.ask(number)
        yield proposal
        engine.tell(TrialResult(number, Status.COMPLETED, value=proposal.params["lr"]))
    engine.close()


@pytest.mark.parametrize(
    "engine", ["optuna:tpe", "optuna:grid", "keras-tuner:random", "keras-tuner:hyperband"]
)
def test_each_proposal_has_a_rate_in_the_interval_of_its_structure(engine):
    found = list(proposals(study(engine=engine)))
    assert {proposal.params["optimizer"] for proposal in found} == {"adam", "sgd"}
    for proposal in found:
        low, high = {"adam": (0.01, 0.1), "sgd": (0.1, 1.0)}[proposal.params["optimizer"]]
        assert low * (1 - 1e-9) <= proposal.params["lr"] <= high * (1 + 1e-9)
        study().space.check(proposal.params)


def test_the_same_seed_proposes_the_same_rates():
    first, second = (list(proposals(study())) for _ in range(2))
    assert [p.params for p in first] == [p.params for p in second]


def test_the_user_is_told_that_positions_are_searched():
    notice = make_engine(study(), lambda: None).notices[0]
    assert notice == "lr: searched as a position in the interval of each structure"


@pytest.mark.parametrize("engine", ["gridsearchcv", "capacity"])
def test_an_engine_that_plans_rates_apart_from_structures_is_refused(engine):
    with pytest.raises(
        StudyError, match=f"'lr' has an interval for each structure, but {engine} plans rates and"
    ):
        study(engine=engine, trials=None)


def test_until_it_is_measured_the_rate_is_searched_in_its_wide_bounds():
    proposal = make_engine(study(intervals={}), lambda: None).ask(0)
    assert 1e-4 <= proposal.params["lr"] <= 1.0


def test_the_definition_tells_a_rate_for_each_structure_from_one_for_all():
    one = study(intervals={}, space={"lr": Float.from_range_test(1e-4, 1.0)})
    assert study().definition()["from_range_test"] == {"lr": "0.0001 … 1.0 for each structure"}
    assert one.definition()["from_range_test"] == {"lr": "0.0001 … 1.0"}
