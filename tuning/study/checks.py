"""What is wrong with a study, in words: every fault at once, before anything is trained."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from tuning.data.folds import Splitter
from tuning.data.row_keys import SPLIT_KINDS
from tuning.errors import did_you_mean
from tuning.space.domains import Choice, Float, Int
from tuning.study.builder_arguments import (
    FIT_PARAMETERS,
    FROM_DATA,
    SCIKERAS,
    data_names,
    names_needed,
    names_taken,
)
from tuning.study.engine_option import option_faults
from tuning.study.engine_spec import engine_specs, unknown_engine
from tuning.study.objective import Objective
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
    "initial": 0,
    "gpus_per_trial": 1,
    "trials": 1,
    "patience": 1,
    "cv": 2,
}
"""The whole numbers of a study, and the least that each may be."""
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
        if is_left_out and not has_default:
            yield f"'{field.name}' is missing"


def study_faults(study: StudyFields) -> Iterator[str]:
    """Yield one sentence for each thing wrong with the values of a study."""
    if not isinstance(study.name, str) or not NAME.fullmatch(study.name):
        yield f"name {study.name!r} must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"
    if not callable(study.builder):
        yield (
            f"builder must be a function that returns a compiled keras.Model, got {study.builder!r}"
        )
    if not callable(study.data):
        yield f"data must be a function that returns a Dataset, got {study.data!r}"

    yield from _objective_faults(study)
    yield from _threshold_faults(study)
    # What a builder asks for is not known before it is run: these come in `Study.check`.
    if study.space.known:
        yield from study.space.faults()
        yield from _interval_faults(study)
    yield from _engine_faults(study)
    yield from _number_faults(study)
    # Of what cannot be called there is no signature to read.
    if callable(study.builder) and study.space.known:
        yield from _argument_faults(study)
    if callable(study.data) and study.space.known:
        yield from _data_faults(study)


def _objective_faults(study: StudyFields) -> Iterator[str]:
    objective = study.objective
    if not isinstance(objective, Objective):
        yield f'objective must be Minimize("val_…") or Maximize("val_…"), got {objective!r}'
    elif not objective.metric.startswith("val_"):
        yield (
            f"objective '{objective.metric}' is not a validation metric; "
            f"use 'val_{objective.metric}'"
        )
    # A function may give its value any name, and so the name of a metric of ours.
    elif study.trainer != "function" and not objective.sensible:
        yield f"objective: to {objective.direction} {objective.metric} finds the worst model"
    elif study.trainer == "function" and objective.function is not None:
        yield (
            f"objective: with trainer='function' the builder returns {objective.metric} itself; "
            f'use {objective.direction.capitalize()}("{objective.metric}")'
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
    if spec is not None and study.initial and not spec.takes_initial:
        others = ", ".join(each.name for each in engine_specs().values() if each.takes_initial)
        yield f"initial: {study.engine} chooses its own first points; leave it out, or use {others}"
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
        if name in FIT_PARAMETERS:
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
    for name in FIT_PARAMETERS:
        domain = study.space.domains.get(name)
        if domain is not None and not _holds_whole_numbers_above_0(domain):
            yield (
                f"{name} must be whole numbers, at least 1, got {domain!r}; e.g. Choice(16, 32, 64)"
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


def _holds_whole_numbers_above_0(domain: object) -> bool:
    """Whether a domain has batch sizes alone; what is no domain is a fault of the space."""
    if isinstance(domain, Float):
        return False
    if isinstance(domain, Choice):
        values = domain.values
    elif isinstance(domain, Int):
        values = (domain.low,)  # the others are above it
    else:
        return True
    return all(type(value) is int and value >= 1 for value in values)


def _argument_faults(study: StudyFields) -> Iterator[str]:
    """Yield what does not fit between the builder's arguments and the space with `fixed`."""
    builder_name = getattr(study.builder, "__name__", "builder")
    decided = [*study.space, *study.fixed]

    taken = names_taken(study.builder)
    of_data = data_names(study.data)
    if not taken.any_name:
        arguments = ", ".join(inspect.signature(study.builder).parameters)
        settings = ", ".join(FIT_PARAMETERS)
        data_takes = f"; data takes: {', '.join(sorted(of_data))}" if of_data else ""
        for name in decided:
            if name not in taken.names and name not in FIT_PARAMETERS and name not in of_data:
                guess = did_you_mean(name, {*taken.names, *FIT_PARAMETERS, *of_data})
                yield (
                    f"nothing takes '{name}'.{guess} {builder_name} takes: {arguments}; "
                    f"fit takes: {settings}{data_takes}."
                )

    for name in study.space:
        if name in study.fixed:
            yield f"'{name}' is both searched and fixed; keep one"

    for name in names_needed(study.builder):
        if name not in (*decided, *FROM_DATA, *FIT_PARAMETERS, *SCIKERAS):
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
