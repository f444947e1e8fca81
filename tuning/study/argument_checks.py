"""What does not fit between a study's names and values and who takes them, in words.

A name of the space or of `fixed` goes to the builder, the data function, `fit` or the callbacks:
one of them must take it, and whatever they need must be given. What goes to `fit` (epochs,
patience, class weights) must be such that `fit` can use it, whichever value is proposed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuning.errors import did_you_mean, received
from tuning.space.domains import Choice, Float, Int, is_number, is_whole
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
from tuning.study.engine_spec import engine_specs
from tuning.study.study_fields import BATCH_SIZES, StudyFields

_CLASS_WEIGHT = (
    "must be None, 'balanced' or a mapping of classes to numbers of at least 0, or of several "
    "outputs to one of these each"
)
_PRUNERS_WITH_RUNGS = ("asha", "hyperband")


def builder_argument_faults(study: StudyFields) -> Iterator[str]:
    """Yield what does not fit between the builder's arguments and the space with `fixed`.

    The space is known, and the builder can be called.
    """
    taken = names_taken(study.builder)
    yield from _names_that_nobody_takes(study)

    for name in study.space:
        if name in study.fixed:
            yield f"'{name}' is both searched and fixed; keep one"

    for name in study.fixed:
        is_field = name in FIT_PARAMETERS and name != "batch_size"
        if is_field and not taken.any_name and name not in taken.names:
            yield f"fixed: '{name}' is a field of the study itself: {name}={study.fixed[name]!r}"

    decided = [*study.space, *study.fixed]
    for name in names_needed(study.builder):
        if name not in (*decided, *FROM_DATA, *FIT_PARAMETERS, *SCIKERAS, "output_shape"):
            yield (
                f"{_name_of(study.builder, 'builder')} needs '{name}', which has no default: put "
                "it into space or fixed"
            )


def _names_that_nobody_takes(study: StudyFields) -> Iterator[str]:
    by_builder = names_taken(study.builder)
    by_callbacks = names_of_callbacks(study)
    if by_builder.any_name or by_callbacks.any_name:
        return

    by_data = data_names(study.data)
    takers = {*by_builder.names, *by_callbacks.names, *FIT_PARAMETERS, *by_data}
    arguments = ", ".join(inspect.signature(study.builder).parameters)
    takes = f"{_name_of(study.builder, 'builder')} takes: {arguments}; "
    takes += f"fit takes: {', '.join(FIT_PARAMETERS)}"
    if by_data:
        takes += f"; data takes: {', '.join(sorted(by_data))}"

    for name in (*study.space, *study.fixed):
        if name not in takers:
            yield f"nothing takes '{name}'.{did_you_mean(name, takers)} {takes}."


def data_argument_faults(study: StudyFields) -> Iterator[str]:
    """Yield what does not fit between the data function's arguments and the space with `fixed`.

    The space is known, and the data function can be called.
    """
    of_data = data_names(study.data)
    if not of_data:
        return

    for name in names_needed(study.data):
        if name not in (*study.space, *study.fixed):
            yield (
                f"{_name_of(study.data, 'data')} needs '{name}', which has no default: put it "
                "into space or fixed"
            )

    spec = engine_specs().get(study.engine)
    searched = [name for name in study.space if name in of_data]
    if spec is not None and spec.one_data_set and searched:
        yield (
            f"{study.engine} gives every trial the same rows, but '{searched[0]}' is an argument "
            "of the data; fix it, or use an engine of Optuna or KerasTuner"
        )


def _name_of(function: object, otherwise: str) -> str:
    return getattr(function, "__name__", otherwise)


def fit_argument_faults(study: StudyFields) -> Iterator[str]:
    """Yield one sentence for each thing wrong with what `fit` is told; the space is known."""
    yield from _epoch_faults(study)
    yield from _patience_faults(study)
    yield from _weight_faults(study)
    yield from _callback_faults(study)
    yield from _function_faults(study)


def whole_number_faults(study: StudyFields) -> Iterator[str]:
    """Yield what is wrong where batch size or epochs are searched; the space is known."""
    for name in ("batch_size", "epochs"):
        domain = study.space.domains.get(name)
        if domain is not None and not _holds_counts(domain):
            yield (
                f"{name} must be whole numbers, at least 1, got {domain}; e.g. Choice(16, 32, 64)"
            )


def _patience_faults(study: StudyFields) -> Iterator[str]:
    domain = study.space.domains.get("patience")
    if domain is not None and not _holds_counts(domain, or_none=True):
        yield (
            f"patience must be whole numbers, at least 1, or None, got {domain}; "
            "e.g. Choice(None, 5, 10)"
        )


def _holds_counts(domain: object, *, or_none: bool = False) -> bool:
    """Whether a domain has whole numbers above 0; what is no domain is a fault of the space."""
    if isinstance(domain, Float):
        return False
    if isinstance(domain, Int):
        return domain.low >= 1
    if not isinstance(domain, Choice):
        return True
    return all(
        (type(value) is int and value >= 1) or (or_none and value is None)
        for value in domain.values
    )


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
    """Return what a value counts as where the largest is looked for; what is none is refused."""
    return value if isinstance(value, int | float) else -math.inf


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
    return is_number(value) and math.isfinite(value) and value >= 0


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


def replica_faults(study: StudyFields) -> Iterator[str]:
    """Yield what is wrong with how a step's rows are shared out over the GPUs of a trial."""
    if study.batch_size_is not in BATCH_SIZES:
        choices = " or ".join(map(repr, BATCH_SIZES))
        yield f"batch_size_is must be {choices}, got {study.batch_size_is!r}"
        return
    if not isinstance(study.scale_lr, bool):
        yield f"scale_lr must be True or False, got {study.scale_lr!r}"
        return

    per_replica = study.batch_size_is == "per_replica"
    if study.scale_lr and not per_replica:
        yield (
            "scale_lr goes with batch_size_is='per_replica': a global batch is as large on any "
            "number of GPUs"
        )
    spec = engine_specs().get(study.engine)
    packs_calls = spec is not None and spec.trial_function is not None
    if (per_replica or study.scale_lr) and packs_calls:
        yield (
            f"{study.engine} sets the estimator's batch_size itself: batch_size_is and scale_lr "
            "are for other engines"
        )
    if not per_replica and is_whole(study.gpus_per_trial) and study.gpus_per_trial > 1:
        for size in _batch_sizes(study):
            if is_whole(size) and size % study.gpus_per_trial:
                yield (
                    f"batch_size {size} cannot be shared out evenly over {study.gpus_per_trial} "
                    f"GPUs; use multiples of {study.gpus_per_trial}, or batch_size_is='per_replica'"
                )
                return


def _batch_sizes(study: StudyFields) -> Sequence[Any]:
    """Return the batch sizes that a trial may have; of a range the first few."""
    domain = study.space.domains.get("batch_size")
    if domain is None:
        return [study.fixed.get("batch_size", study.batch_size)]
    if isinstance(domain, Choice):
        return domain.values
    if isinstance(domain, Int):
        return [domain.low, min(domain.low + domain.step, domain.high)]
    return []
