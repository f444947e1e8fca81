"""`StudyInfo`: a study as the driver knows it, without its functions and so without TensorFlow."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from tuning.data.arrays import count_rows, only
from tuning.data.dataset import Dataset, Shapes, Tasks, each_shape
from tuning.data.folds import n_splits
from tuning.data.parts import Parts
from tuning.space.constraints import Constraint, constraints_of
from tuning.space.space import Space
from tuning.storage.secrets import shown_definition
from tuning.study.builder_arguments import epochs_of
from tuning.study.discovered_space import DiscoveredSpace
from tuning.study.engine_spec import NO_ENGINE, EngineSpec, engine_specs
from tuning.study.objective import Objective
from tuning.study.study import Study
from tuning.study.study_data import searched_arguments

DISCOVERY = "discovery"
"""Among the changes of a study's fields: what was discovered of its space, which is no field."""


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What a reader should know of a data set without loading it.

    Attributes:
        name: `Dataset.name`.
        task: `Dataset.task`; by name of several outputs.
        digest: `Dataset.digest`, 64 hex digits.
        rows: Rows in all.
        train, validation, test: Rows of each part.
        features: Names of the columns, or empty.
        classes: Names of the classes, by number; empty for regression.
        unit: What one unit of y is.
        source: Where the data come from.
        input_shape: One sample's shape as a model takes it, without the batch axis; by name of
            several inputs.
        majority: Share of the largest class, from 0 to 1; 0 where there are no classes.
    """

    name: str
    task: Tasks = "regression"
    digest: str = ""
    rows: int = 0
    train: int = 0
    validation: int = 0
    test: int = 0
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    unit: str = ""
    source: str = ""
    input_shape: Shapes = ()
    majority: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, as `search.json` has them under "data"."""
        facts = asdict(self)
        for name in ("features", "classes"):
            facts[name] = list(facts[name])
        facts["input_shape"] = each_shape(list, self.input_shape)
        return facts

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return what `to_json` was called on; a key that is absent has its default."""
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        for name in ("features", "classes"):
            known[name] = tuple(known.get(name, ()))
        known["input_shape"] = each_shape(tuple, known.get("input_shape", ()))
        return cls(**{"name": "data", **known})


def dataset_facts(dataset: Dataset, parts: Parts | None = None) -> DatasetFacts:
    """Return the facts of a data set; without its parts their rows count as 0."""
    return DatasetFacts(
        name=dataset.name,
        task=dataset.task,
        digest=dataset.digest,
        rows=count_rows(dataset.y),
        train=0 if parts is None else len(parts.train),
        validation=0 if parts is None else len(parts.validation),
        test=0 if parts is None else len(parts.test),
        features=tuple(dataset.feature_names),
        classes=tuple(dataset.classes),
        unit=dataset.unit,
        source=dataset.source,
        input_shape=dataset.input_shape,
        majority=_majority(dataset),
    )


def _majority(dataset: Dataset) -> float:
    if dataset.task not in ("binary", "multiclass"):
        return 0.0

    numbers = only(dataset.y).reshape(-1)  # of a mask one a pixel
    members = np.bincount(numbers.astype(int))
    return float(members.max() / members.sum())


@dataclass(frozen=True, kw_only=True)
class StudyInfo:
    """What the engine process tells the driver of a study; every field is picklable and plain.

    Attributes:
        definition: `Study.definition()` with the data's digest: what a resumed search must agree
            with.
        hash: Over the definition.
        study_file: Where the study was loaded from; "" for one made in a notebook.
        doc: First line of the study file's docstring.
        data: What the data set is.
        cv: Fits of each trial where it is cross-validated; of a splitter the folds that it cuts.
        data_arguments: The arguments of the data function that are searched.
        trains_to_test: The winner is trained on all rows up to the test part, as it is by time,
            for as many epochs as its validation found.
        discovery: `DiscoveredSpace.as_text`; "" of a space that the study names.
        notices: What the engine wants the user to know.
        objectives: Where there are several, else empty.
        constraints: What every winner keeps to.
        winner_by: See `Study`.
    """

    name: str
    engine: str
    pruner: str
    objective: Objective
    space: Space
    trials: int | None
    epochs: int
    batch_size: int
    patience: int | None
    cv: int | None
    seed: int
    top_k: int
    seeds: int
    timeout: float | None
    trial_timeout: float | None
    no_progress_timeout: float
    attempts: int
    max_failures: int
    gpus_per_trial: int
    repeats: int = 1
    initial: int | Sequence[Mapping[str, Any]] = 0
    definition: Mapping[str, Any]
    hash: str
    data: DatasetFacts
    study_file: str = ""
    doc: str = ""
    notices: tuple[str, ...] = ()
    data_arguments: tuple[str, ...] = ()
    trains_to_test: bool = False
    objectives: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    winner_by: str = "knee"
    discovery: str = ""

    def for_workers(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Return the changes of the study for a worker, and what need not be discovered again."""
        return {**overrides, DISCOVERY: self.discovery} if self.discovery else dict(overrides)

    def epochs_of(self, params: Mapping[str, Any]) -> int:
        """Return the epochs of a trial of these parameters: searched ones win over the field."""
        return epochs_of(params, self.space, self.epochs)

    @property
    def fits_together(self) -> bool:
        """Whether the fits of a trial go on in lock-step: a pruner is to see their mean."""
        return (self.cv is not None or self.repeats > 1) and self.pruner != "none"

    @property
    def pinned(self) -> str:
        """What workers compare: they load study and data themselves, perhaps much later."""
        return pin(self.hash, self.data.digest)

    @property
    def engine_spec(self) -> EngineSpec:
        """What its engine can do; a recording's trials have none."""
        return engine_specs().get(self.engine, NO_ENGINE)

    @property
    def open_per_slot(self) -> int:
        """Trials asked for at a time, a slot.

        One waits behind the running one, so that a slot is never idle; but an engine that learns
        from results is asked as late as possible.
        """
        return 1 if self.engine_spec.learns else 2


def pin(study_hash: str, data_digest: str) -> str:
    """Return one word for a definition and its data."""
    return f"{study_hash}-{data_digest[:16]}"


def describe(
    study: Study,
    data: DatasetFacts,
    *,
    file: str = "",
    notices: tuple[str, ...] = (),
    n_folds: int | None = None,
    trains_to_test: bool = False,
) -> StudyInfo:
    """Return a study as the driver knows it.

    Args:
        study: Checked.
        data: See `dataset_facts`.
        file: Where the study was loaded from.
        notices: Of the engine and the data.
        n_folds: What `cv` cuts the rows into, where they were cut; needed of a splitter.
        trains_to_test: `Parts.trains_to_test`.
    """
    return StudyInfo(
        name=study.name,
        engine=study.engine,
        pruner=study.pruner,
        objective=study.objective.named,
        space=study.space.plain(),
        trials=study.trials,
        epochs=study.epochs,
        batch_size=study.batch_size,
        patience=study.patience,
        cv=n_folds if study.cv is None or n_folds else n_splits(study.cv),
        seed=study.seed,
        top_k=study.top_k,
        seeds=study.seeds,
        timeout=study.timeout,
        trial_timeout=study.trial_timeout,
        no_progress_timeout=study.no_progress_timeout,
        attempts=study.attempts,
        max_failures=study.max_failures,
        gpus_per_trial=study.gpus_per_trial,
        repeats=study.repeats,
        initial=study.initial,
        definition={**shown_definition(study.definition()), "data_digest": data.digest},
        hash=study.hash,
        data=data,
        study_file=file,
        doc=_doc(study),
        notices=notices,
        data_arguments=searched_arguments(study),
        trains_to_test=trains_to_test,
        objectives=tuple(objective.named for objective in study.objectives),
        constraints=constraints_of(study.constraints),
        winner_by=study.winner_by,
        discovery=study.space.as_text if isinstance(study.space, DiscoveredSpace) else "",
    )


def _doc(study: Study) -> str:
    """Return the first line of the docstring of the builder's module, mostly the study's."""
    builder = study.builder
    if isinstance(builder, functools.partial):
        builder = builder.func
    module = sys.modules.get(builder.__module__)
    return (inspect.getdoc(module) or "").split("\n")[0]
