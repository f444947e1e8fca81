"""Who is compared, and with which seeds."""

from __future__ import annotations

import pytest

from tests.trials.small_study import study
from tuning.bench.budget import Budget
from tuning.bench.plan import DEFAULT_ENGINES, EngineChoice, overrides_of, parse_choices
from tuning.errors import StudyError

EPOCHS = Budget("epochs", 40)


def test_an_engine_may_carry_a_pruner():
    assert parse_choices("gridsearchcv, optuna:tpe+asha") == (
        EngineChoice("gridsearchcv"),
        EngineChoice("optuna:tpe", "asha"),
    )


def test_the_default_engines_are_of_all_three_libraries():
    families = {
        choice.engine.partition(":")[0] for choice in parse_choices(",".join(DEFAULT_ENGINES))
    }
    assert families >= {"gridsearchcv", "optuna", "keras-tuner"}


def test_all_faults_of_the_engines_are_told_at_once():
    with pytest.raises(StudyError) as raised:
        parse_choices("optuna:tpa,gridsearchcv+asha,optuna:tpe+ashe,gridsearchcv,gridsearchcv")
    faults = raised.value.faults
    assert len(faults) == 4
    assert faults[0].startswith(
        "engine 'optuna:tpa' is unknown. Did you mean 'optuna:tpe'? There are: "
    )
    assert faults[1] == "'gridsearchcv+asha': pruners work with Optuna's engines only"
    assert faults[2].startswith("'optuna:tpe+ashe': pruner 'ashe' is unknown. Did you mean 'asha'?")
    assert faults[3] == "'gridsearchcv' is given twice"


def test_no_engine_at_all_is_a_fault():
    with pytest.raises(StudyError, match="no engine is named"):
        parse_choices(" , ")


def test_searches_of_one_index_share_their_seed_and_differ_in_the_engine_alone():
    one = [
        overrides_of(study(), choice, 3, EPOCHS)
        for choice in parse_choices("optuna:tpe,optuna:random")
    ]
    assert {name for name in one[0] if one[0][name] != one[1][name]} == {"engine"}
    assert overrides_of(study(), EngineChoice("optuna:tpe"), 4, EPOCHS)["seed"] != one[0]["seed"]


def test_a_studys_own_pruner_and_timeout_are_left_out():
    changed = study(engine="optuna:tpe", pruner="median", timeout=5.0, trials=None)
    search = changed.with_(**overrides_of(changed, EngineChoice("gridsearchcv"), 0, EPOCHS))
    assert (search.pruner, search.timeout, search.trials) == ("none", None, 10)


@pytest.mark.parametrize(("budget", "points"), [("trials=50", 3), ("trials=9", 1), ("trials=4", 0)])
def test_searches_have_first_points_in_common_but_few_of_their_trials(budget, points):
    kind, _, amount = budget.partition("=")
    assert (
        overrides_of(study(), EngineChoice("optuna:tpe"), 0, Budget(kind, float(amount)))["initial"]
        == points
    )
