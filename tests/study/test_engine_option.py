"""An engine's own settings: checked by its row, in the definition where used."""

from __future__ import annotations

import pytest

from tuning.builders.functions import branin
from tuning.cli.run import parse_settings
from tuning.errors import StudyError
from tuning.space.domains import Float
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trials.functions import no_data


def study(engine="optuna:tpe", **fields):
    space = {"x1": Float(-5.0, 10.0), "x2": Float(0.0, 15.0)}
    values = {"builder": branin, "data": no_data, "objective": Minimize("val_y"), "space": space}
    return Study(name="branin", engine=engine, trainer="function", **values, **fields)


@pytest.mark.parametrize(
    ("engine", "options", "words"),
    [
        ("optuna:tpe", {"n_startup": 5}, "has no 'n_startup'. Did you mean 'n_startup_trials'?"),
        ("optuna:tpe", {"group": 1}, "group of optuna:tpe must be True or False, got 1"),
        ("optuna:random", {"seed": 1}, "optuna:random has no 'seed'. It has none"),
        ("optuna:qmc", {"qmc_type": "x"}, "must be 'sobol' or 'halton', got 'x'"),
        ("keras-tuner:hyperband", {"factor": 1}, "must be a whole number, at least 2, got 1"),
        ("halvinggridsearchcv", {"min_resources": "all"}, "or 'exhaust' or 'smallest', got 'all'"),
        ("halvinggridsearchcv", {"min_resources": 99}, "min_resources 99 is above epochs"),
        ("optuna:nsga2", {"mutation_prob": 1.5}, "must be a number from 0.0 to 1.0, got 1.5"),
        ("optuna:tpe", 3, "engine_options must be a mapping by names, got 3"),
    ],
)
def test_what_an_engine_does_not_have_is_refused_in_words(engine, options, words):
    with pytest.raises(StudyError) as refused:
        study(engine, engine_options=options)
    assert words in str(refused.value)


def test_options_are_in_the_definition_where_they_are_used_alone():
    plain = study()
    assert "engine_options" not in plain.definition()
    other = study(engine_options={"n_ei_candidates": 48})
    assert other.definition()["engine_options"] == {"n_ei_candidates": 48}
    assert other.hash != plain.hash


def test_the_command_line_sets_one_option_by_its_name():
    settings = ("engine_options.factor=4", "engine_options.qmc_type=halton", "patience=3")
    assert parse_settings(settings) == {
        "engine_options": {"factor": 4, "qmc_type": "halton"},
        "patience": 3,
    }
