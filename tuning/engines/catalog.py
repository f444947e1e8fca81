"""`ENGINES`: the engines of this package, one row each; and `make_engine`.

A row's `make` imports its library only when it is called. To add an engine of a library that is
here already: a row, and its kind in the library's adapter (`optuna.SAMPLERS`,
`keras_tuner.ORACLES`, `scikit_search.SEARCHES`). Rows are registered in pyproject.toml, group
`tuning.engines`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuning.engines import options
from tuning.engines.base import Engine
from tuning.study.engine_spec import Ends, EngineSpec, engine_spec
from tuning.study.study import Study

if TYPE_CHECKING:
    from tuning.data.parts import Parts


def make_engine(study: Study, parts: Callable[[], Parts]) -> Engine:
    """Return a fresh engine; the library it needs is imported now.

    Args:
        study: Checked.
        parts: Gives its data, which scikit-learn's search classes alone ask for.

    Raises:
        MissingError: The engine needs a package that is not installed.
        StudyError: The engine cannot search this space.
    """
    spec = engine_spec(study.engine)
    if study.space.positioned:
        from tuning.engines.positions import PositionEngine

        return PositionEngine(study, lambda inner: make_engine(inner, parts))
    if _needs_inner_names(study, spec):
        from tuning.engines.inner_names import InnerNamesEngine

        return InnerNamesEngine(
            study, lambda inner: spec.make(inner, parts), plain=spec.plain_names
        )
    engine: Engine = spec.make(study, parts)
    return engine


def _needs_inner_names(study: Study, spec: EngineSpec) -> bool:
    """Whether the engine's library cannot search the space under the user's names."""
    if study.space.has_alternatives:
        return True
    # An argument of our builders' own has the right of its name: the estimators see to that.
    if not spec.plain_names or not getattr(study.builder, "asks_for_parameters", False):
        return False
    from tuning.engines.inner_names import has_plain_names

    return not has_plain_names(study.space)


def _optuna(study: Study, parts: Callable[[], Parts]) -> Engine:
    from tuning.engines.optuna import OptunaEngine

    return OptunaEngine(study)


def _keras_tuner(study: Study, parts: Callable[[], Parts]) -> Engine:
    from tuning.engines.keras_tuner import KerasTunerEngine

    return KerasTunerEngine(study)


def _scikit(study: Study, parts: Callable[[], Parts]) -> Engine:
    from tuning.engines.scikit import ScikitEngine

    return ScikitEngine(study, parts())


def _capacity(study: Study, parts: Callable[[], Parts]) -> Engine:
    from tuning.engines.capacity import CapacityEngine

    return CapacityEngine(study)


def _halving_trials_within(total: float, epochs: int) -> int:
    from tuning.engines.scikit_search import trials_within

    return trials_within(total, epochs)


_SCIKIT_TRIAL = "tuning.engines.scikit_fit:run_call"

ENGINES = (
    EngineSpec(
        name="gridsearchcv",
        family="scikit-learn",
        summary="every point of a grid",
        make=_scikit,
        learns=False,
        ends=Ends.BY_ITSELF,
        trials_shape_proposals=True,
        takes_points=True,
        plans_rates_apart=True,
        one_data_set=True,
        trial_function=_SCIKIT_TRIAL,
        plain_names=True,
    ),
    EngineSpec(
        name="randomizedsearchcv",
        family="scikit-learn",
        summary="random points",
        make=_scikit,
        learns=False,
        trials_shape_proposals=True,
        plans_rates_apart=True,
        one_data_set=True,
        trial_function=_SCIKIT_TRIAL,
        plain_names=True,
    ),
    EngineSpec(
        name="halvinggridsearchcv",
        family="scikit-learn",
        summary="a grid; the best third of each round trains three times as long",
        make=_scikit,
        learns=False,
        ends=Ends.BY_ITSELF,
        trials_shape_proposals=True,
        plans_rates_apart=True,
        one_data_set=True,
        trial_function=_SCIKIT_TRIAL,
        plain_names=True,
        trials_within=_halving_trials_within,
        options=options.HALVING,
    ),
    EngineSpec(
        name="halvingrandomsearchcv",
        family="scikit-learn",
        summary="random points; the best third of each round trains three times as long",
        make=_scikit,
        learns=False,
        trials_shape_proposals=True,
        plans_rates_apart=True,
        one_data_set=True,
        trial_function=_SCIKIT_TRIAL,
        plain_names=True,
        trials_within=_halving_trials_within,
        options=options.HALVING,
    ),
    EngineSpec(
        name="optuna:tpe",
        family="Optuna",
        summary="tree-structured Parzen estimator, multivariate",
        make=_optuna,
        takes_initial=True,
        prunes=True,
        several_objectives=True,
        options=options.TPE,
    ),
    EngineSpec(
        name="optuna:random",
        family="Optuna",
        summary="random points",
        make=_optuna,
        learns=False,
        takes_initial=True,
        prunes=True,
        several_objectives=True,
    ),
    EngineSpec(
        name="optuna:cmaes",
        family="Optuna",
        summary="covariance matrix adaptation, for numbers without conditions",
        make=_optuna,
        takes_initial=True,
        prunes=True,
        options=options.CMAES,
    ),
    EngineSpec(
        name="optuna:qmc",
        family="Optuna",
        summary="a scrambled Sobol sequence",
        make=_optuna,
        learns=False,
        takes_initial=True,
        prunes=True,
        several_objectives=True,
        options=options.QMC,
    ),
    EngineSpec(
        name="optuna:nsga2",
        family="Optuna",
        summary="a genetic algorithm, generation after generation",
        make=_optuna,
        trials_shape_proposals=True,
        takes_initial=True,
        prunes=True,
        several_objectives=True,
        options=options.NSGA2,
    ),
    EngineSpec(
        name="optuna:gp",
        family="Optuna",
        summary="Gaussian process",
        make=_optuna,
        takes_initial=True,
        prunes=True,
        several_objectives=True,
        extra="gp",
        needs={"torch": "PyTorch"},
        options=options.GP,
    ),
    EngineSpec(
        name="optuna:grid",
        family="Optuna",
        summary="every point of a grid, shuffled",
        make=_optuna,
        learns=False,
        ends=Ends.BY_ITSELF,
        trials_shape_proposals=True,
        takes_points=True,
        prunes=True,
        several_objectives=True,
    ),
    EngineSpec(
        name="keras-tuner:random",
        family="KerasTuner",
        summary="random points, without repetition",
        make=_keras_tuner,
        learns=False,
        ends=Ends.WHERE_FINITE,
        takes_initial=True,
    ),
    EngineSpec(
        name="keras-tuner:bayesian",
        family="KerasTuner",
        summary="Gaussian process with a lower confidence bound",
        make=_keras_tuner,
        trials_shape_proposals=True,
        takes_initial=True,
        options=options.BAYESIAN,
    ),
    EngineSpec(
        name="keras-tuner:hyperband",
        family="KerasTuner",
        summary="brackets of successive halving; the best go on from where they were",
        make=_keras_tuner,
        ends=Ends.BY_ITSELF,
        continues_trials=True,
        options=options.HYPERBAND,
    ),
    EngineSpec(
        name="keras-tuner:grid",
        family="KerasTuner",
        summary="every point of a grid, in order",
        make=_keras_tuner,
        learns=False,
        ends=Ends.BY_ITSELF,
        trials_shape_proposals=True,
    ),
    EngineSpec(
        name="capacity",
        family="this package",
        summary="begins small and grows while the validation score improves",
        make=_capacity,
        ends=Ends.BY_ITSELF,
        plans_rates_apart=True,
    ),
)
