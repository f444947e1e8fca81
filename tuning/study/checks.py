"""What is wrong with a study, in words: every fault at once, before anything is trained."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from tuning.data.dataset import Dataset
from tuning.data.folds import Splitter
from tuning.data.row_keys import SPLIT_KINDS
from tuning.errors import StudyError, did_you_mean, received
from tuning.space.completion import completed
from tuning.space.constraints import MODEL_FIGURES, constraint_faults
from tuning.space.domains import Choice, Float, Int
from tuning.space.space import Space
from tuning.study.builder_arguments import (
    CALLBACK_ARGUMENTS,
    FIT_PARAMETERS,
    FROM_DATA,
    SCIKERAS,
    data_names,
    names_needed,
    names_of_callbacks,
    names_taken,
)
from tuning.study.engine_option import option_faults
from tuning.study.engine_spec import EngineSpec, engine_specs, unknown_engine
from tuning.study.objective import KNEE, Objective
from tuning.study.study_fields import PRUNERS, TRAINERS, StudyFields
from tuning.study.study_file import NAME

_LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "seed": 0,
    "top_k": 1,
    "seeds": 1,
    "attempts": 1,
    "max_failures": 1,
    "gpus_per_trial": 1,
    "trials": 1,
    "patience": 1,
    "cv": 2,
    "repeats": 1,
}
"""The whole numbers of a study, and the least that each may be."""
_CLASS_WEIGHT = (
    "must be None, 'balanced' or a mapping of classes to numbers of at least 0, or of several "
    "outputs to one of these each"
)
_PRUNERS_WITH_RUNGS = ("asha", "hyperband")
_BY_NAME = ("space", "fixed", "intervals", "engine_options")
_IN_ORDER = ("objectives", "constraints")
_TEXTS = ("engine", "pruner", "split", "trainer", "winner_by")
_MAY_BE_NONE = ("trials", "patience", "cv", "timeout", "trial_timeout")


def field_name_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each name that is no field of a study, and each that is missing."""
    known = [field.name for field in fields(StudyFields)]
    for name in values:
        if name not in known:
            yield f"a study has no '{name}'.{did_you_mean(name, known)}"
    for field in fields(StudyFields):
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        is_left_out = field.name not in values
        if field.name == "space":
            is_left_out = values.get("space") is None
        if field.name == "objective":
            is_left_out = not (values.get("objective") or values.get("objectives"))
            has_default = False  # that of the signature is none
        if is_left_out and not has_default:
            yield f"'{field.name}' is missing"


def field_kind_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each field that is of another kind than all that looks at it."""
    for name in _BY_NAME:
        value = values.get(name, {})
        if isinstance(value, Space) or (name == "space" and value is None):
            continue
        if not isinstance(value, Mapping):
            yield f"{name} must be a mapping by names, got {value!r:.100}"
        elif not all(isinstance(key, str) for key in value):
            odd = next(key for key in value if not isinstance(key, str))
            yield f"{name}: each name must be a text, got {odd!r:.100}"
    for name in _IN_ORDER:
        value = values.get(name, ())
        if not isinstance(value, list | tuple):
            yield f"{name} must be a list, got {value!r:.100}"
    for name in _TEXTS:
        value = values.get(name, "")
        if not isinstance(value, str) and not (name == "split" and value is None):
            yield f"{name} must be a text, got {value!r:.100}"


def study_faults(study: StudyFields) -> Iterator[str]:
    """Yield one sentence for each thing wrong with the values of a study."""
    if not isinstance(study.name, str) or not NAME.fullmatch(study.name):
        yield f"name {study.name!r} must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"
    yield from _callable_faults(study)

    if not study.objectives:
        yield from _objective_faults(study.objective, study)
    yield from _several_objectives_faults(study)
    yield from constraint_faults(study.constraints)
    yield from _threshold_faults(study)
    # What a builder asks for is not known before it is run: these come in `Study.check`.
    if study.space.known:
        yield from study.space.faults()
        yield from _interval_faults(study)
    yield from _engine_faults(study)
    yield from _number_faults(study)
    if study.space.known:
        yield from _fit_argument_faults(study)
        yield from _known_point_faults(study)
    # Of what cannot be called there is no signature to read.
    if _is_builder(study.builder) and study.space.known:
        yield from _argument_faults(study)
    if callable(study.data) and study.space.known:
        yield from _data_faults(study)


def _is_builder(value: object) -> bool:
    # A model can be called, too. Whoever made one has imported Keras; the driver has not.
    keras = sys.modules.get("keras")
    return callable(value) and not (keras is not None and isinstance(value, keras.Model))


def _callable_faults(study: StudyFields) -> Iterator[str]:
    """Yield what is wrong where a builder or a data function is none."""
    if not _is_builder(study.builder):
        is_model = callable(study.builder)
        hint = "; give the function itself, builder=build_model" if is_model else ""
        yield (
            "builder must be a function that returns a compiled keras.Model, "
            f"got {received(study.builder)}{hint}"
        )
    if not callable(study.data):
        hint = ""
        if isinstance(study.data, Dataset):
            hint = "; give a function that returns it, so that each worker can make its own"
        yield f"data must be a function that returns a Dataset, got {received(study.data)}{hint}"


def _objective_faults(objective: object, study: StudyFields) -> Iterator[str]:
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


def _several_objectives_faults(study: StudyFields) -> Iterator[str]:
    """Yield what is wrong with several objectives, and between them and the rest of the study."""
    objectives = study.objectives
    if not isinstance(objectives, tuple):
        got = received(objectives)
        yield f"objectives must be a list of Minimize(…) and Maximize(…), got {got}"
        return
    if not objectives:
        if study.winner_by != KNEE:
            yield f"winner_by={study.winner_by!r} is for several objectives; leave it out"
        return

    for objective in objectives:
        yield from _objective_faults(objective, study)
    if not all(isinstance(objective, Objective) for objective in objectives):
        return

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
    if study.winner_by not in (KNEE, *names):
        ways = [KNEE, *names]
        guess = did_you_mean(str(study.winner_by), ways)
        yield f"winner_by {study.winner_by!r} is unknown.{guess} There are: {', '.join(ways)}"
    yield from _several_engine_faults(study)


def _several_engine_faults(study: StudyFields) -> Iterator[str]:
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


def _threshold_faults(study: StudyFields) -> Iterator[str]:
    threshold = study.threshold
    if threshold is None or threshold == "tuned":
        return
    is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not is_number or not 0 < threshold < 1:
        yield f"threshold must be between 0 and 1, or 'tuned', got {threshold!r}"


def _interval_faults(study: StudyFields) -> Iterator[str]:
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


def _engine_faults(study: StudyFields) -> Iterator[str]:
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

    # What an unknown engine can do is not known: it is one fault, not several.
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


def _unknown(kind: str, value: object, known: tuple[str, ...]) -> Iterator[str]:
    if value not in known:
        guess = did_you_mean(str(value), known)
        yield f"{kind} '{value}' is unknown.{guess} There are: {', '.join(known)}"


def _number_faults(study: StudyFields) -> Iterator[str]:
    for name, least in _LEAST.items():
        value = getattr(study, name)
        if name == "cv" and isinstance(value, Splitter) and not isinstance(value, type):
            continue
        if name == "batch_size":
            value = study.fixed.get(name, value)  # what is fixed wins over the field
        if value is None and name in _MAY_BE_NONE:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            splitter = ", or a splitter such as TimeSeriesSplit()" if name == "cv" else ""
            yield f"{name} must be a whole number, at least {least}{splitter}, got {value!r}"

    if study.space.known:
        yield from _searched_number_faults(study)

    yield from _seconds_and_share_faults(study)


def _searched_number_faults(study: StudyFields) -> Iterator[str]:
    for name in ("batch_size", "epochs"):
        domain = study.space.domains.get(name)
        if domain is not None and not _holds_whole_numbers_above_0(domain):
            yield (
                f"{name} must be whole numbers, at least 1, got {domain}; e.g. Choice(16, 32, 64)"
            )

    spec = engine_specs().get(study.engine)
    is_endless = spec is not None and spec.never_ends(
        finite_space=not study.space.known or study.space.finite
    )
    if study.trials is None and study.timeout is None and is_endless:
        yield (
            f"trials is None and there is no timeout, but {study.engine} never ends by itself; "
            "give one of them"
        )


def _seconds_and_share_faults(study: StudyFields) -> Iterator[str]:
    for name in ("timeout", "trial_timeout", "no_progress_timeout"):
        value = getattr(study, name)
        if value is None and name in _MAY_BE_NONE:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and value > 0):
            yield f"{name} must be a number of seconds above 0, got {value!r}"

    for name in ("test_size", "validation_size"):
        value = getattr(study, name)
        is_share = isinstance(value, float) and 0 < value < 1
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not is_share and not is_count:
            yield f"{name} must be a share between 0 and 1, or rows, at least 1, got {value!r}"


def _argument_faults(study: StudyFields) -> Iterator[str]:
    """Yield what does not fit between the builder's arguments and the space with `fixed`."""
    builder_name = getattr(study.builder, "__name__", "builder")
    decided = [*study.space, *study.fixed]

    taken = names_taken(study.builder)
    of_data = data_names(study.data)
    by_callbacks = names_of_callbacks(study)
    if not taken.any_name and not by_callbacks.any_name:
        arguments = ", ".join(inspect.signature(study.builder).parameters)
        settings = ", ".join(FIT_PARAMETERS)
        data_takes = f"; data takes: {', '.join(sorted(of_data))}" if of_data else ""
        for name in decided:
            takers = {*taken.names, *by_callbacks.names, *FIT_PARAMETERS, *of_data}
            if name not in takers:
                guess = did_you_mean(name, takers)
                yield (
                    f"nothing takes '{name}'.{guess} {builder_name} takes: {arguments}; "
                    f"fit takes: {settings}{data_takes}."
                )

    for name in study.space:
        if name in study.fixed:
            yield f"'{name}' is both searched and fixed; keep one"

    for name in study.fixed:
        is_field = name in FIT_PARAMETERS and name != "batch_size"
        if is_field and not taken.any_name and name not in taken.names:
            yield f"fixed: '{name}' is a field of the study itself: {name}={study.fixed[name]!r}"

    for name in names_needed(study.builder):
        if name not in (*decided, *FROM_DATA, *FIT_PARAMETERS, *SCIKERAS, "output_shape"):
            yield (
                f"{builder_name} needs '{name}', which has no default: put it into space or fixed"
            )


def _data_faults(study: StudyFields) -> Iterator[str]:
    """Yield what does not fit between the data function's arguments and the space with `fixed`."""
    of_data = data_names(study.data)
    if not of_data:
        return

    for name in names_needed(study.data):
        if name not in (*study.space, *study.fixed):
            data_name = getattr(study.data, "__name__", "data")
            yield f"{data_name} needs '{name}', which has no default: put it into space or fixed"

    spec = engine_specs().get(study.engine)
    searched = [name for name in study.space if name in of_data]
    if spec is not None and spec.one_data_set and searched:
        yield (
            f"{study.engine} gives every trial the same rows, but '{searched[0]}' is an argument "
            "of the data; fix it, or use an engine of Optuna or KerasTuner"
        )


def _fit_argument_faults(study: StudyFields) -> Iterator[str]:
    """Yield one sentence for each thing wrong with what `fit` shall be told."""
    yield from _epoch_faults(study)
    yield from _patience_faults(study)
    yield from _weight_faults(study)
    yield from _callback_faults(study)
    yield from _function_faults(study)


def _epoch_faults(study: StudyFields) -> Iterator[str]:
    domain = study.space.domains.get("epochs")
    if not isinstance(domain, Int | Choice):
        return  # there is none, or it is refused elsewhere

    spec = engine_specs().get(study.engine)
    if spec is not None and spec.rations_epochs:
        yield f"space: {study.engine} decides itself how long a trial trains: leave 'epochs' out"
    if study.pruner in _PRUNERS_WITH_RUNGS:
        yield (
            f"space: pruner '{study.pruner}' compares trials at fixed epochs: "
            "leave 'epochs' out, or use pruner 'median' or 'none'"
        )

    most = domain.high if isinstance(domain, Int) else max(domain.values, key=_number, default=0)
    if _number(most) > _number(study.epochs):
        yield f"space: 'epochs' goes up to {most}, beyond the study's epochs {study.epochs}"


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else -math.inf


def _patience_faults(study: StudyFields) -> Iterator[str]:
    domain = study.space.domains.get("patience")
    if domain is None or _is_patience(domain):
        return
    yield (
        f"patience must be whole numbers, at least 1, or None, got {domain}; "
        "e.g. Choice(None, 5, 10)"
    )


def _is_patience(domain: object) -> bool:
    if isinstance(domain, Int):
        return domain.low >= 1
    if not isinstance(domain, Choice):
        return False
    return all(value is None or (type(value) is int and value >= 1) for value in domain.values)


def _weight_faults(study: StudyFields) -> Iterator[str]:
    if not _is_class_weight(study.class_weight):
        yield f"class_weight {_CLASS_WEIGHT}, got {received(study.class_weight)}"
    domain = study.space.domains.get("class_weight")
    if domain is None:
        return
    if not isinstance(domain, Choice):
        yield f"class_weight must be a Choice, got {domain}; e.g. Choice(None, 'balanced')"
        return
    for value in domain.values:
        if not _is_class_weight(value):
            yield f"space: each class_weight {_CLASS_WEIGHT}, got {value!r}"


def _is_class_weight(value: Any) -> bool:
    if isinstance(value, Mapping) and not any(map(_is_weight, value.values())):
        # By output: an output without a mapping of its own has a text or nothing.
        return bool(value) and all(map(_is_class_weight_of_output, value.values()))
    return _is_class_weight_of_output(value)


def _is_class_weight_of_output(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and all(map(_is_weight, value.values()))
    return value is None or (isinstance(value, str) and value == "balanced")


def _is_weight(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= 0


def _callback_faults(study: StudyFields) -> Iterator[str]:
    if study.callbacks is None:
        return
    if not callable(study.callbacks):
        yield (
            "callbacks must be a function that returns fresh Keras callbacks, e.g. "
            f"lambda: [ReduceLROnPlateau('val_loss')], got {received(study.callbacks)}"
        )
        return

    known = {*study.space, *study.fixed, *CALLBACK_ARGUMENTS}
    for name in names_needed(study.callbacks):
        if name not in known:
            guess = did_you_mean(name, known)
            yield (
                f"callbacks needs '{name}', which has no default.{guess} Put it into space or "
                f"fixed; besides these it may take: {', '.join(CALLBACK_ARGUMENTS)}"
            )


def _function_faults(study: StudyFields) -> Iterator[str]:
    if study.trainer != "function":
        return
    unused = [
        name
        for name, usual in (("class_weight", None), ("callbacks", None), ("repeats", 1))
        if getattr(study, name) != usual
    ]
    unused += [name for name in ("patience", "class_weight") if name in study.space]
    if unused:
        yield f"trainer='function' trains nothing: leave {' and '.join(unused)} out"


def _holds_whole_numbers_above_0(domain: object) -> bool:
    """Whether a domain has whole numbers above 0; what is no domain is a fault of the space."""
    if isinstance(domain, Float):
        return False
    if isinstance(domain, Choice):
        values = domain.values
    elif isinstance(domain, Int):
        values = (domain.low,)  # the others are above it
    else:
        return True
    return all(type(value) is int and value >= 1 for value in values)


def _known_point_faults(study: StudyFields) -> Iterator[str]:
    """Yield one sentence for each thing wrong with the first points of a study."""
    initial = study.initial
    spec = engine_specs().get(study.engine)
    if isinstance(initial, int) and not isinstance(initial, bool):
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
