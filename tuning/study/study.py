"""`Study`: the frozen definition of one search, and `load_study`."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import numpy as np

from tuning.data.dataset import Dataset
from tuning.errors import StudyError, did_you_mean
from tuning.study.domains import Choice, Float
from tuning.study.engine_spec import engine_spec, engine_specs, unknown_engine
from tuning.study.fingerprint import fingerprint, plain_repr
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.study.study_file import NAME, find_study, import_file

Builder: TypeAlias = Callable[..., Any]

PRUNERS = ("none", "median", "asha", "hyperband")
TRAINERS = ("auto", "compiled", "fit", "function")
FIT_PARAMETERS = ("batch_size",)
"""Parameters of the training, which a builder need not take."""
FROM_DATA = ("input_shape", "task", "n_outputs")
"""Builder arguments that are filled in from the data."""


class SplitParams(NamedTuple):
    """A point of the space, by who takes which of its values.

    Attributes:
        builder: The builder's keyword arguments.
        fit: The settings of the training: `batch_size`.
    """

    builder: dict[str, Any]
    fit: dict[str, Any]

    @property
    def batch_size(self) -> int:
        """Rows a step."""
        return int(self.fit["batch_size"])


@dataclass(frozen=True, kw_only=True)
class Study:
    """One search: what is built, on which data, judged how, over which space, with which budget.

    Every fault is found at once, when the study is made.

    Attributes:
        name: `[a-z0-9][a-z0-9_-]*`, at most 64 characters.
        builder: A plain function that returns a compiled `keras.Model`. Besides the searched
            parameters it may take `input_shape`, `task` and `n_outputs`, which are filled in from
            the data.
        data: A function without arguments that returns a `Dataset`.
        objective: `Minimize("val_rmse")`, `Maximize("val_accuracy")`; rmse, mae, r2, accuracy, auc
            and loss are computed by us from validation predictions, any other name is looked up in
            Keras' own history.
        space: The searched parameters: builder arguments and `batch_size`.
        fixed: Builder arguments that are the same in every trial.
        intervals: Bounds (low, high) of learning rates that are `"from_range_test"` in the space,
            or rows of them per structure; the run puts in what the range test found.
        engine: Who proposes; see `engine_specs()`.
        pruner: Who stops bad trials early (Optuna engines only); see `PRUNERS`.
        trials: Trials to be finished, rungs included; None: until the engine has no more (grids,
            Hyperband).
        epochs: Most epochs of a trial.
        batch_size: Rows a step, where it is not searched.
        initial: Points of a Sobol sample, drawn from `seed` alone, that the search begins with (see
            `EngineSpec.takes_initial`).
        patience: Stop after this many epochs without improvement and keep the best weights; None:
            train to the end.
        cv: Folds of a cross-validated trial; None: one fit, judged on the validation part.
        seed: Feeds splits, engine and training.
        top_k: The best trials that are trained again on fresh seeds.
        seeds: Fresh seeds for each of these.
        timeout: Seconds after which no further trial is begun; None: no limit.
        trial_timeout: Seconds after which one attempt is stopped; None: no limit.
        no_progress_timeout: Seconds without a finished epoch after which an attempt is stopped.
        attempts: How often a trial is begun before it counts as failed.
        max_failures: Failed trials in a row that end the search.
        test_size, validation_size: Shares of the rows, and of what remains.
        gpus_per_trial: GPUs of one trial; more than one trains under
            `tf.distribute.MirroredStrategy`.
        trainer: "auto", "compiled" (whole epochs as one graph call), "fit" (Keras' loop),
            "function" (of parameters: the builder returns the objective itself, see
            `training.functions`).
    """

    name: str
    builder: Builder
    data: Callable[[], Dataset]
    objective: Objective
    space: Space
    fixed: Mapping[str, Any] = field(default_factory=dict)
    intervals: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    engine: str = "optuna:tpe"
    pruner: str = "none"
    trials: int | None = 20
    epochs: int = 30
    batch_size: int = 32
    initial: int = 0
    patience: int | None = None
    cv: int | None = None
    seed: int = 0
    top_k: int = 3
    seeds: int = 3
    timeout: float | None = None
    trial_timeout: float | None = None
    no_progress_timeout: float = 600.0
    attempts: int = 3
    max_failures: int = 10
    test_size: float = 0.25
    validation_size: float = 0.25
    gpus_per_trial: int = 1
    trainer: Literal["auto", "compiled", "fit", "function"] = "auto"

    def __init__(self, *, space: Mapping[str, Any] | Space | None = None, **rest: Any) -> None:
        made = (
            {} if space is None else {"space": space if isinstance(space, Space) else Space(space)}
        )
        given = {**made, **rest}
        known = {f.name for f in fields(type(self))}
        unknown = [
            f"a study has no '{name}'.{did_you_mean(name, known)}"
            for name in given
            if name not in known
        ]
        required = ("name", "builder", "data", "objective", "space")
        unknown += [f"'{name}' is missing" for name in required if name not in given]
        where = f"study {given.get('name')!r}"
        if unknown:
            raise StudyError(unknown, where=where)
        for f in fields(type(self)):
            default = f.default_factory() if callable(f.default_factory) else f.default
            object.__setattr__(self, f.name, given.get(f.name, default))
        object.__setattr__(self, "space", self.space.narrowed(self.intervals))
        faults = list(_faults(self))
        if faults:
            raise StudyError(faults, where=where)
        self._sources  # noqa: B018 - before anything is called: a builder may keep something from call to call

    @functools.cached_property
    def _sources(self) -> dict[str, str]:
        return {"builder": fingerprint(self.builder), "data": fingerprint(self.data)}

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced, checked like any study."""
        return replace(self, **changes)

    def split_params(self, params: Mapping[str, Any]) -> SplitParams:
        """Split a point of the space; a name that the builder takes goes to the builder too."""
        takes = _takes(self.builder)
        values = {"batch_size": self.batch_size, **self.fixed, **params}
        to_fit = {name: values[name] for name in FIT_PARAMETERS}
        to_builder = values.keys() - set(FIT_PARAMETERS) if takes is None else takes
        return SplitParams(
            builder={name: value for name, value in values.items() if name in to_builder},
            fit=to_fit,
        )

    def from_data(self, dataset: Dataset) -> dict[str, Any]:
        """Return the builder arguments that the data fixes: those of `FROM_DATA` that the builder
        names.
        """
        known = {
            "input_shape": dataset.input_shape,
            "task": dataset.task,
            "n_outputs": dataset.n_outputs,
        }
        named = inspect.signature(self.builder).parameters
        return {
            n: v
            for n, v in known.items()
            if n in named and n not in self.fixed and n not in self.space
        }

    def definition(self) -> dict[str, Any]:
        """Return what makes two searches comparable, as JSON: no time limits, and `trials` only
        where it shapes what is proposed.
        """
        kept = (
            "name",
            "engine",
            "pruner",
            "epochs",
            "batch_size",
            "patience",
            "cv",
            "seed",
            "test_size",
            "validation_size",
            "gpus_per_trial",
            "trainer",
        )
        bound = ("trials",) if engine_spec(self.engine).trials_shape_proposals else ()
        return {
            **{name: getattr(self, name) for name in (*kept, *bound)},
            "objective": f"{self.objective.direction} {self.objective.metric}",
            "space": {
                n: repr(d) + (f" when {d.conditions}" if d.conditions else "")
                for n, d in self.space.domains.items()
            },
            "fixed": {name: plain_repr(value) for name, value in self.fixed.items()},
            **({"initial": self.initial} if self.initial else {}),
            **({"from_range_test": ranges} if (ranges := self.space.test_ranges) else {}),
            **self._sources,
        }

    @property
    def hash(self) -> str:
        """sha256 of `definition()`, 16 hex digits."""
        return hashlib.sha256(json.dumps(self.definition(), sort_keys=True).encode()).hexdigest()[
            :16
        ]


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 31-bit seed for one purpose, independent of every other (NumPy's `SeedSequence`)."""
    words = [int.from_bytes(hashlib.sha256(str(p).encode()).digest()[:4], "big") for p in purpose]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1)[0] >> 1)


def load_study(name_or_path: str, root: Path | None = None) -> Study:
    """Import a study file and return its `STUDY`.

    Raises:
        StudyError: There is no such file, it cannot be imported (with file and line), or it makes
            no `STUDY`.
    """
    path = find_study(name_or_path, root)
    study = getattr(import_file(path), "STUDY", None)
    if not isinstance(study, Study):
        raise StudyError(f"{path} must end with STUDY = Study(…); found {study!r}")
    return study


def _takes(builder: Builder) -> set[str] | None:
    """Return the names a builder takes, or None where it takes any (`**kwargs`)."""
    parameters = inspect.signature(builder).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY}


def _faults(study: Study) -> Iterator[str]:
    if not isinstance(study.name, str) or not NAME.fullmatch(study.name):
        yield f"name {study.name!r} must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"
    if not callable(study.builder):
        yield f"builder must be a function that returns a compiled keras.Model, got {study.builder!r}"
    if not callable(study.data):
        yield f"data must be a function that returns a Dataset, got {study.data!r}"
    if not isinstance(study.objective, Objective):
        yield f'objective must be Minimize("val_…") or Maximize("val_…"), got {study.objective!r}'
    elif not study.objective.metric.startswith("val_"):
        yield f"objective '{study.objective.metric}' is not a validation metric; use 'val_{study.objective.metric}'"
    elif study.trainer != "function" and not study.objective.sensible:
        yield f"objective: to {study.objective.direction} {study.objective.metric} finds the worst model"
    yield from study.space.faults()
    for name in study.intervals:
        if name not in study.space.measured:
            yield f"intervals: '{name}' is not from a range test in the space"
    spec = engine_specs().get(study.engine)
    for name, domain in study.space.measured.items():
        if spec is not None and spec.plans_rates_apart and domain.per_structure:
            yield (
                f"'{name}' has an interval for each structure, but {study.engine} plans rates and structures apart; "
                "use 'from_range_test', or an engine of Optuna or KerasTuner"
            )
    yield from _choice_faults(study)
    yield from _number_faults(study)
    if callable(study.builder):
        yield from _signature_faults(study)


def _choice_faults(study: Study) -> Iterator[str]:
    spec = engine_specs().get(study.engine)
    if spec is None:
        yield unknown_engine(study.engine)
    for kind, known in (("pruner", PRUNERS), ("trainer", TRAINERS)):
        value = getattr(study, kind)
        if value not in known:
            yield f"{kind} '{value}' is unknown.{did_you_mean(str(value), known)} There are: {', '.join(known)}"
    if spec is not None and study.pruner != "none" and not spec.prunes:
        yield f"pruner '{study.pruner}' works with Optuna's engines only, not with {study.engine}; use --pruner none"
    if spec is not None and study.initial and not spec.takes_initial:
        others = ", ".join(each.name for each in engine_specs().values() if each.takes_initial)
        yield f"initial: {study.engine} chooses its own first points; leave it out, or use {others}"
    if study.trainer == "function" and (study.cv is not None or study.patience is not None):
        yield "trainer='function' has neither folds nor early stopping: leave cv and patience out"


def _number_faults(study: Study) -> Iterator[str]:
    whole = {
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
    optional = ("trials", "patience", "cv", "timeout", "trial_timeout")
    for name, least in whole.items():
        value = (
            study.fixed.get(name, study.batch_size)
            if name in FIT_PARAMETERS
            else getattr(study, name)
        )
        if value is None and name in optional:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            yield f"{name} must be a whole number, at least {least}, got {value!r}"
    for name in FIT_PARAMETERS:
        domain = study.space.domains.get(name)
        values = domain.values if isinstance(domain, Choice) else (getattr(domain, "low", 1),)
        if isinstance(domain, Float) or not all(
            type(value) is int and value >= 1 for value in values
        ):
            yield f"{name} must be whole numbers, at least 1, got {domain!r}; e.g. Choice(16, 32, 64)"
    spec = engine_specs().get(study.engine)
    endless = spec is not None and spec.never_ends(finite_space=study.space.finite)
    if study.trials is None and study.timeout is None and endless:
        yield f"trials is None and there is no timeout, but {study.engine} never ends by itself; give one of them"
    for name in ("timeout", "trial_timeout", "no_progress_timeout"):
        value = getattr(study, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (value is None and name in optional) and not (number and value > 0):
            yield f"{name} must be a number of seconds above 0, got {value!r}"
    for name in ("test_size", "validation_size"):
        value = getattr(study, name)
        if not isinstance(value, float) or not 0 < value < 1:
            yield f"{name} must be a share between 0 and 1, got {value!r}"


def _signature_faults(study: Study) -> Iterator[str]:
    label = getattr(study.builder, "__name__", "builder")
    takes = _takes(study.builder)
    given = {*study.space, *study.fixed}
    if takes is not None:
        listed = f"{label} takes: {', '.join(inspect.signature(study.builder).parameters)}"
        for name in (
            n for n in (*study.space, *study.fixed) if n not in takes and n not in FIT_PARAMETERS
        ):
            guess = did_you_mean(name, {*takes, *FIT_PARAMETERS})
            yield f"nothing takes '{name}'.{guess} {listed}; fit takes: {', '.join(FIT_PARAMETERS)}."
    for name in (n for n in study.space if n in study.fixed):
        yield f"'{name}' is both searched and fixed; keep one"
    for parameter in inspect.signature(study.builder).parameters.values():
        by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        needed = by_name and parameter.default is parameter.empty
        if needed and parameter.name not in given | {*FROM_DATA, *FIT_PARAMETERS}:
            yield f"{label} needs '{parameter.name}', which has no default: put it into space or fixed"
