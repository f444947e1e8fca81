"""What is wrong with a study, in words: every fault at once, before anything is trained.

Here is what each field says on its own, and the order in which all is asked. What belongs together
and does not fit is found by two others: `search_checks` looks at what is sought and who proposes
it, `argument_checks` at names and values against who takes them: builder, data, `fit`, callbacks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from tuning.data.dataset import Dataset
from tuning.data.folds import Splitter
from tuning.errors import did_you_mean, received
from tuning.space.constraints import constraint_faults
from tuning.space.domains import is_number, is_whole
from tuning.space.space import Space
from tuning.study.argument_checks import (
    builder_argument_faults,
    data_argument_faults,
    fit_argument_faults,
    replica_faults,
    whole_number_faults,
)
from tuning.study.search_checks import (
    endless_faults,
    engine_faults,
    first_point_faults,
    interval_faults,
    objective_faults,
)
from tuning.study.study_fields import StudyFields
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
_SECONDS = ("timeout", "trial_timeout", "no_progress_timeout")
_SHARES = ("test_size", "validation_size")
_BY_NAME = ("space", "fixed", "intervals", "engine_options")
_IN_ORDER = ("objectives", "constraints")
_TEXTS = ("engine", "pruner", "split", "trainer", "winner_by", "batch_size_is")
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
    """Yield one sentence for each thing wrong with the values of a study.

    Users read them in this order: what a study is, what it seeks, where, how.
    """
    if not isinstance(study.name, str) or not NAME.fullmatch(study.name):
        yield f"name {study.name!r} must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"
    yield from _callable_faults(study)

    yield from objective_faults(study)
    yield from constraint_faults(study.constraints)
    yield from _threshold_faults(study)

    # What a builder asks for is not known before it is run: these come in `Study.check`.
    is_known = study.space.known
    if is_known:
        yield from study.space.faults()
        yield from interval_faults(study)
    yield from engine_faults(study)
    yield from _number_faults(study)
    yield from replica_faults(study)
    if is_known:
        yield from whole_number_faults(study)
        yield from endless_faults(study)
    yield from _seconds_faults(study)
    yield from _share_faults(study)

    if not is_known:
        return
    yield from fit_argument_faults(study)
    yield from first_point_faults(study)
    # Of what cannot be called there is no signature to read.
    if _is_builder(study.builder):
        yield from builder_argument_faults(study)
    if callable(study.data):
        yield from data_argument_faults(study)


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


def _threshold_faults(study: StudyFields) -> Iterator[str]:
    threshold = study.threshold
    if threshold is None or threshold == "tuned":
        return
    if not is_number(threshold) or not 0 < threshold < 1:
        yield f"threshold must be between 0 and 1, or 'tuned', got {threshold!r}"


def _number_faults(study: StudyFields) -> Iterator[str]:
    for name, least in _LEAST.items():
        value = getattr(study, name)
        if name == "cv" and isinstance(value, Splitter) and not isinstance(value, type):
            continue
        if name == "batch_size":
            value = study.fixed.get(name, value)  # what is fixed wins over the field
        if value is None and name in _MAY_BE_NONE:
            continue
        if not is_whole(value) or value < least:
            splitter = ", or a splitter such as TimeSeriesSplit()" if name == "cv" else ""
            yield f"{name} must be a whole number, at least {least}{splitter}, got {value!r}"


def _seconds_faults(study: StudyFields) -> Iterator[str]:
    for name in _SECONDS:
        value = getattr(study, name)
        if value is None and name in _MAY_BE_NONE:
            continue
        if not (is_number(value) and value > 0):
            yield f"{name} must be a number of seconds above 0, got {value!r}"


def _share_faults(study: StudyFields) -> Iterator[str]:
    for name in _SHARES:
        value = getattr(study, name)
        is_share = isinstance(value, float) and 0 < value < 1
        is_count = is_whole(value) and value >= 1
        if not is_share and not is_count:
            yield f"{name} must be a share between 0 and 1, or rows, at least 1, got {value!r}"
