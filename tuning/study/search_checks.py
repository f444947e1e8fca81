"""What is wrong between what a study seeks and who proposes it, in words.

That is its objectives, its engine with pruner and options, and the points that the engine is to
begin with. What an engine can do is asked of its row (`EngineSpec`). An engine that nobody knows is
one fault: what else it could not do is then not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tuning.data.row_keys import SPLIT_KINDS
from tuning.errors import StudyError, did_you_mean, received
from tuning.space.completion import completed
from tuning.space.constraints import MODEL_FIGURES
from tuning.space.domains import is_whole
from tuning.study.engine_option import option_faults
from tuning.study.engine_spec import EngineSpec, engine_specs, unknown_engine
from tuning.study.objective import KNEE, Objective
from tuning.study.study_fields import PRUNERS, TRAINERS, StudyFields


def objective_faults(study: StudyFields) -> Iterator[str]:
    """Yield what is wrong with one objective or several, and between these and the study."""
    objectives = study.objectives
    if not isinstance(objectives, tuple):
        got = received(objectives)
        yield f"objectives must be a list of Minimize(…) and Maximize(…), got {got}"
        return
    if not objectives:
        yield from _faults_of_one(study.objective, study)
        if study.winner_by != KNEE:
            yield f"winner_by={study.winner_by!r} is for several objectives; leave it out"
        return

    for objective in objectives:
        yield from _faults_of_one(objective, study)
    # What they are called is read only where all of them are objectives.
    if all(isinstance(objective, Objective) for objective in objectives):
        yield from _faults_between(objectives, study)
        yield from _faults_of_their_engine(study)


def _faults_of_one(objective: object, study: StudyFields) -> Iterator[str]:
    """Yield what is wrong with one objective on its own."""
    if not isinstance(objective, Objective):
        yield f'objective must be Minimize("val_…") or Maximize("val_…"), got {received(objective)}'
    elif objective.is_model_figure and not study.objectives:
        yield (
            f"objective '{objective.metric}' alone needs no training; give it beside a validation "
            f'metric: objectives=[Minimize("val_loss"), Minimize("{objective.metric}")]'
        )
    elif not objective.is_model_figure and not objective.metric.startswith("val_"):
        guess = f"use 'val_{objective.metric}'"
        if did_you_mean(objective.metric, MODEL_FIGURES):
            guess += f", or one of {', '.join(MODEL_FIGURES)}"
        yield f"objective '{objective.metric}' is not a validation metric; {guess}"
    # A function may give its value any name, and so the name of a metric of ours.
    elif study.trainer != "function" and not objective.sensible:
        yield f"objective: {objective.wrong_way}"
    elif study.trainer == "function" and objective.function is not None:
        yield (
            f"objective: with trainer='function' the builder returns {objective.metric} itself; "
            f'use {objective.direction.capitalize()}("{objective.metric}")'
        )


def _faults_between(objectives: Sequence[Objective], study: StudyFields) -> Iterator[str]:
    names = [objective.metric for objective in objectives]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"objectives: '{name}' is given twice"
    if study.objective != objectives[0]:
        yield "objective and objectives are both given; keep one of them"
    if objectives[0].is_model_figure:
        yield (
            f"objectives: the first, {names[0]}, needs no training, but early stopping and the "
            "live view go by it; begin with a validation metric"
        )
    yield from _unknown("winner_by", study.winner_by, (KNEE, *names))


def _faults_of_their_engine(study: StudyFields) -> Iterator[str]:
    spec = engine_specs().get(study.engine)
    if spec is None:
        return
    if not spec.several_objectives:
        able = ", ".join(each.name for each in engine_specs().values() if each.several_objectives)
        yield f"objectives: {study.engine} searches one objective only; use {able}"
    elif study.pruner != "none":
        yield (
            f"pruner '{study.pruner}' compares trials by one figure, and there are "
            f"{len(study.objectives)} objectives; use --pruner none (patience goes by the first)"
        )


def interval_faults(study: StudyFields) -> Iterator[str]:
    """Yield what is wrong with the intervals that range tests gave, and who is to plan with them.

    The space is known.
    """
    for name in study.intervals:
        if name not in study.space.measured:
            yield f"intervals: '{name}' is not from a range test in the space"

    spec = engine_specs().get(study.engine)
    if spec is None or not spec.plans_rates_apart:
        return
    for name, domain in study.space.measured.items():
        if domain.per_structure:
            yield (
                f"'{name}' has an interval for each structure, but {study.engine} plans rates and "
                "structures apart; use 'from_range_test', or an engine of Optuna or KerasTuner"
            )


def engine_faults(study: StudyFields) -> Iterator[str]:
    """Yield what is wrong with the engine, its options and all that is chosen from a list."""
    spec = engine_specs().get(study.engine)
    if spec is None:
        yield unknown_engine(study.engine)
    else:
        faults = list(option_faults(study.engine, spec.options, study.engine_options))
        yield from faults or _halving_faults(study)
    yield from _unknown("pruner", study.pruner, PRUNERS)
    if study.split is not None:
        yield from _unknown("split", study.split, SPLIT_KINDS)
    yield from _unknown("trainer", study.trainer, TRAINERS)

    if spec is not None and study.pruner != "none" and not spec.prunes:
        yield (
            f"pruner '{study.pruner}' works with Optuna's engines only, not with {study.engine}; "
            "use --pruner none"
        )
    if study.trainer == "function" and (study.cv is not None or study.patience is not None):
        yield "trainer='function' has neither folds nor early stopping: leave cv and patience out"


def _halving_faults(study: StudyFields) -> Iterator[str]:
    least = study.engine_options.get("min_resources")
    if isinstance(least, int) and isinstance(study.epochs, int) and least > study.epochs:
        yield f"engine_options: min_resources {least} is above epochs, which is {study.epochs}"


def _unknown(kind: str, value: object, known: Sequence[str]) -> Iterator[str]:
    if value not in known:
        guess = did_you_mean(str(value), known)
        yield f"{kind} '{value}' is unknown.{guess} There are: {', '.join(known)}"


def endless_faults(study: StudyFields) -> Iterator[str]:
    """Yield one sentence where nothing would end the search; the space is known."""
    spec = engine_specs().get(study.engine)
    if spec is None or study.trials is not None or study.timeout is not None:
        return
    if spec.never_ends(finite_space=study.space.finite):
        yield (
            f"trials is None and there is no timeout, but {study.engine} never ends by itself; "
            "give one of them"
        )


def first_point_faults(study: StudyFields) -> Iterator[str]:
    """Yield one sentence for each thing wrong with the first points; the space is known."""
    initial = study.initial
    spec = engine_specs().get(study.engine)
    if is_whole(initial):
        if initial < 0:
            yield f"initial must be a whole number, at least 0, or points; got {initial!r}"
        if initial and spec is not None and not spec.takes_initial:
            yield _refusal(study.engine, lambda each: each.takes_initial)
        return

    if not isinstance(initial, Sequence) or not all(isinstance(item, Mapping) for item in initial):
        yield (
            "initial must be a number of points, or a list of points such as "
            f"[{{'lr': 0.01}}]; got {initial!r}"
        )
        return

    if initial and spec is not None and not (spec.takes_initial or spec.takes_points):
        yield _refusal(study.engine, lambda each: each.takes_initial or each.takes_points)
    if initial and any(study.intervals.get(name) for name in study.space.positioned):
        yield "initial: points cannot be given where a rate has an interval for each structure"
    if any(study.space.faults()):
        return  # of a space that is wrong nobody can say what is in it
    for index, point in enumerate(initial):
        try:
            completed(study.space, point, np.random.default_rng(0))
        except StudyError as error:
            yield from (f"initial[{index}]: {fault}" for fault in error.faults)


def _refusal(engine: str, takes: Callable[[EngineSpec], bool]) -> str:
    others = ", ".join(each.name for each in engine_specs().values() if takes(each))
    return f"initial: {engine} chooses its own first points; leave it out, or use {others}"
