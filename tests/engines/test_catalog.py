"""Every installed engine does what every engine must do; a row without a class here gets one.

KerasTuner's engines import TensorFlow, which is paid once, by this module and test_keras_tuner.py.
"""

from __future__ import annotations

import pytest
from optuna.trial import TrialState

from tests.engines import contract
from tests.engines.contract import (
    CONDITIONAL,
    FLAT,
    LABELS,
    SMALL,
    EngineContract,
    GridContract,
    run,
)
from tuning.engines import keras_tuner, optuna, scikit_search
from tuning.errors import MissingError
from tuning.space.domains import Choice, Float, Int
from tuning.space.space import Space
from tuning.study.engine_spec import engine_specs, require_kinds
from tuning.study.study_fields import PRUNERS


class TestGridSearchCV(GridContract):
    engine = "gridsearchcv"


class TestRandomizedSearchCV(EngineContract):
    engine = "randomizedsearchcv"


class TestHalvingGridSearchCV(EngineContract):
    engine = "halvinggridsearchcv"


class TestHalvingRandomSearchCV(EngineContract):
    engine = "halvingrandomsearchcv"


class OptunaContract(EngineContract):
    adopts = True

    def knows(self, engine, params):
        ended = [trial for trial in engine._study.trials if trial.state is TrialState.COMPLETE]
        return engine._space.labelled(params) in [trial.params for trial in ended]


class TestOptunaTPE(OptunaContract):
    engine = "optuna:tpe"
    trials = 24


class TestOptunaTPEWithASHA(TestOptunaTPE):
    def make(self, space=FLAT, **changes):
        return super().make(space, pruner="asha", **changes)


class TestOptunaTPEWithHyperband(TestOptunaTPE):
    def make(self, space=FLAT, **changes):
        return super().make(space, pruner="hyperband", **changes)


class TestOptunaRandom(OptunaContract):
    engine = "optuna:random"


class TestOptunaCMAES(OptunaContract):
    engine = "optuna:cmaes"


class TestOptunaQMC(OptunaContract):
    engine = "optuna:qmc"


class TestOptunaNSGA2(OptunaContract):
    engine = "optuna:nsga2"
    trials = 30


class TestOptunaGP(OptunaContract):
    engine = "optuna:gp"


class TestOptunaGrid(GridContract, OptunaContract):
    engine = "optuna:grid"


class KerasTunerContract(EngineContract):
    adopts = True

    def knows(self, engine, params):
        trials = [trial.hyperparameters.values for trial in engine._oracle.trials.values()]
        return any(engine._space.labelled(params).items() <= values.items() for values in trials)


class TestKerasTunerRandom(KerasTunerContract):
    engine = "keras-tuner:random"


class TestKerasTunerBayesian(KerasTunerContract):
    engine = "keras-tuner:bayesian"
    trials = 4  # two of them from the regressor

    def make(self, space=FLAT, **changes):
        # Three random points, then the regressor.
        return super().make(space, **{"trials": 6, **changes})


class TestKerasTunerHyperband(KerasTunerContract):
    engine = "keras-tuner:hyperband"
    trials = 16  # the first bracket with its promotions, and a part of the next


class TestKerasTunerGrid(GridContract, KerasTunerContract):
    engine = "keras-tuner:grid"

    def test_another_seed_gives_other_proposals(self):
        """It goes through the grid in order, whatever the seed."""
        first, second = (run(self.make(SMALL, seed=seed, trials=None), 5) for seed in (1, 2))
        assert first == second


GROWABLE = Space({**LABELS.domains, "n_neurons": Int(1, 64)})


class TestCapacity(EngineContract):
    engine = "capacity"
    trials = 6  # it ends by itself soon after
    seeded = False
    parallel = 2  # the smallest network, which has no layer, and the first layer

    def make(self, space=FLAT, **changes):
        return super().make(GROWABLE if space is LABELS else space, **changes)

    @pytest.mark.parametrize(
        "space", [FLAT, CONDITIONAL, GROWABLE], ids=["flat", "conditional", "labels"]
    )
    def test_proposals_lie_inside_the_space_and_obey_its_conditions(self, space):
        proposals = run(self.make(space), 100)
        assert 3 <= len(proposals) < 100
        for proposal in proposals:
            space.check(proposal.params)


def _name_of_class(engine: str) -> str:
    return "Test" + "".join(letter for letter in engine.title() if letter.isalnum())


WITH_A_CLASS = {case.engine for case in list(globals().values()) if hasattr(case, "engine")}
for name in engine_specs():
    if name not in WITH_A_CLASS:
        facts = {"engine": name, "adopts": None}
        globals()[_name_of_class(name)] = type(_name_of_class(name), (EngineContract,), facts)


FINITE = Space({"a": Choice("x", "y"), "n_neurons": Int(1, 3)})
ENDLESS = Space({"a": Choice("x", "y"), "n_neurons": Int(1, 3), "lr": Float(0.01, 0.1)})


@pytest.fixture
def make():
    """Make an engine by its name as the contract does; what is made is closed after the test."""
    case = EngineContract()
    case.engines = []

    def make(name, space, **changes):
        case.engine = name
        return case.make(space, **changes)

    yield make
    for engine in case.engines:
        engine.close()


def few(name: str, usual: int) -> int:
    """Return how many proposals are enough: each of KerasTuner's regressor takes a second."""
    return min(usual, 6) if name == "keras-tuner:bayesian" else usual


@pytest.mark.parametrize("name", engine_specs())
@pytest.mark.parametrize("space", [FINITE, ENDLESS], ids=["finite", "endless"])
def test_an_engine_ends_as_its_row_says(name, space, make):
    never_ends = engine_specs()[name].never_ends(finite_space=space.finite)
    # scikit-learn's plan ahead for a thousand trials where only a timeout ends them.
    most = 1_001 if name.endswith("searchcv") else few(name, 60)
    engine = make(name, space, trials=None, epochs=3, timeout=9.0)
    assert (len(run(engine, most)) < most) is not (never_ends and most < 1_001)


@pytest.mark.parametrize("name", [name for name in engine_specs() if "halving" not in name])
def test_only_an_engine_that_learns_proposes_otherwise_after_other_results(name, make, monkeypatch):
    trials = few(name, 30)
    first = run(make(name, FLAT, trials=trials), trials)
    monkeypatch.setattr(contract, "value_of", lambda proposal: -float(proposal.number))
    second = run(make(name, FLAT, trials=trials), trials)
    assert (first != second) is engine_specs()[name].learns


@pytest.mark.parametrize("name", engine_specs())
def test_only_an_engine_that_continues_trials_names_their_parents(name, make):
    trials = few(name, 30)
    proposals = run(make(name, FLAT, trials=trials), trials)
    continues = any(p.parent is not None and p.continued for p in proposals)
    assert continues is engine_specs()[name].continues_trials


def test_no_sampler_oracle_class_or_pruner_is_missing():
    require_kinds("Optuna", optuna.SAMPLERS)
    require_kinds("KerasTuner", keras_tuner.ORACLES)
    require_kinds("scikit-learn", scikit_search.SEARCHES)
    assert set(optuna.PRUNER_MAKERS) == set(PRUNERS)


def test_a_row_without_its_sampler_is_told_where_the_adapter_is_imported():
    samplers = [kind for kind in optuna.SAMPLERS if kind not in ("qmc", "gp")]
    with pytest.raises(MissingError) as caught:
        require_kinds("Optuna", samplers)
    assert str(caught.value) == (
        "listed as engines of Optuna, but not implemented: optuna:qmc, optuna:gp"
    )
