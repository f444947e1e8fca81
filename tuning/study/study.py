"""`Study`: the frozen definition of one search, and `load_study`."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tuning.data.dataset import Dataset
from tuning.data.folds import cv_text
from tuning.errors import StudyError
from tuning.space.alternatives import described
from tuning.space.domains import python_value
from tuning.space.space import Space
from tuning.storage.secrets import remember_arguments
from tuning.study.builder_arguments import (
    SplitParams,
    epochs_of,
    names_needed,
    split_params,
)
from tuning.study.checks import field_kind_faults, field_name_faults, study_faults
from tuning.study.discovered_space import DiscoveredSpace
from tuning.study.display.domain_words import domain_rows
from tuning.study.display.html import block, facts, table
from tuning.study.engine_spec import engine_spec
from tuning.study.fingerprint import fingerprint, metric_fingerprint, plain_repr
from tuning.study.foreign.foreign_builder import ForeignBuilder, adapted
from tuning.study.foreign.scikeras_meta import meta_of
from tuning.study.study_fields import NO_OBJECTIVE, StudyFields, with_first_objective
from tuning.study.study_file import find_study, import_file

# In the order in which they are written; with the same values two searches can be compared.
_COMPARED_AS_THEY_ARE = (
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

_MOST_OF_A_VALUE = 60
"""Characters of a fixed argument that a notebook shows."""


class Study(StudyFields):
    """One search: what is built, on which data, judged how, over which space, with which budget.

    Every fault is found at once, when the study is made.

    Attributes:
        name: `[a-z0-9][a-z0-9_-]*`, at most 64 characters.
        builder: A plain function that returns a compiled `keras.Model`. Besides the searched
            parameters it may take `input_shape`, `task` and `n_outputs`, which are filled in from
            the data.
        data: A function that returns a `Dataset`. Its arguments may be in `space` and `fixed` as
            the builder's are: each of their values gives data of its own.
        objective: `Minimize("val_rmse")`, `Maximize("val_accuracy")`, …: any metric of
            `docs/metrics.md`, scorer of scikit-learn or function of your own is computed by us from
            validation predictions, any other name is looked up in Keras' own history. Left out
            where `objectives` are given: then it is the first of them.
        space: The searched parameters, arguments of builder and data and `batch_size`: a mapping of
            names to `Int`, `Float`, `Choice` or `"from_range_test"`, or a `Space`.
        fixed: Arguments of builder and data that are the same in every trial.
        intervals: Bounds (low, high) of learning rates that are `"from_range_test"` in the space,
            or rows of them per structure; the run puts in what the range test found.
        engine: Who proposes; see `engine_specs()`.
        engine_options: Settings of the engine by the names of its library, such as
            `n_startup_trials` or `factor`; see `EngineSpec.options`.
        pruner: Who stops bad trials early (Optuna engines only); see `PRUNERS`.
        trials: Trials to be finished, rungs included; None: until the engine has no more (grids,
            Hyperband).
        epochs: Most epochs of a trial; may be in the space too, as may `patience` and
            `class_weight`.
        batch_size: Rows a step, where it is not searched.
        initial: What the search begins with: a number of points of a Sobol sample, drawn from
            `seed` alone (see `EngineSpec.takes_initial`), or points that are known to be good; what
            one of these leaves out is drawn at random from `seed`.
        patience: Stop after this many epochs without improvement and keep the best weights; None:
            train to the end.
        class_weight: Weight of each class in the training loss: "balanced", a mapping of numbers
            or names of classes, or None; of several outputs a mapping by output of these.
            Validation and metrics do not know it, as in Keras.
        callbacks: A function that returns fresh Keras callbacks for each fit. It is given what it
            names of the trial's parameters, and of `CALLBACK_ARGUMENTS`.
        repeats: Seeds that a trial is trained on; its value is the mean.
        cv: Folds of a cross-validated trial, or a splitter of scikit-learn's that cuts them out of
            the training and validation rows; None: one fit, judged on the validation part.
        threshold: Of two classes, from which probability on a row is of the second; "tuned": found
            on a fifth of the training rows, held out; None: above 0.5.
        seed: Feeds splits, engine and training.
        top_k: The best trials that are trained again on fresh seeds.
        seeds: Fresh seeds for each of these.
        timeout: Seconds after which no further trial is begun; None: no limit.
        trial_timeout: Seconds after which one attempt is stopped; None: no limit.
        no_progress_timeout: Seconds without a finished epoch after which an attempt is stopped.
        attempts: How often a trial is begun before it counts as failed.
        max_failures: Failed trials in a row that end the search.
        test_size, validation_size: Shares of the rows, and of what remains; or rows.
        split: How parts, folds and early-stopping rows are cut: "random", "stratified" (by class),
            "group" (`Dataset.groups` stay whole), "time" (`Dataset.time`: what comes later judges
            what came before). None: by time where the rows have one, else by group, else by class.
        gpus_per_trial: GPUs of one trial; more than one trains under
            `tf.distribute.MirroredStrategy`.
        batch_size_is: What `batch_size` counts with several GPUs a trial: "global" the rows of a
            step, shared out over the GPUs; "per_replica" those of each GPU.
        scale_lr: With "per_replica": multiply the optimizer's learning rate by the number of GPUs
            (Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.1).
        trainer: "auto", "compiled" (whole epochs as one graph call), "fit" (Keras' loop),
            "function" (nothing is trained: the builder returns the objective itself, see
            `tuning.trials.functions`).
        objectives: Several objectives at once, in place of `objective`: validation metrics, and of
            the model `n_parameters`, `size_kb` and `latency_ms` (see `MODEL_FIGURES`). Optuna's
            engines alone search them. The first one stops early and stands where one figure does.
        constraints: What every winner keeps to, e.g. `"n_parameters <= 50_000"` or
            `"val_recall >= 0.8"`. What the built model breaks is not trained.
        winner_by: Of several objectives: which trial of the Pareto front wins, "knee" or the name
            of the objective to be best in.
    """

    # What `inspect.signature`, and so IPython, shows of `Study(…)`.
    __signature__ = inspect.signature(StudyFields)

    if not TYPE_CHECKING:  # type checkers take the arguments from the fields

        def __init__(self, **values: Any) -> None:
            where = f"study {values.get('name')!r}"
            faults = list(field_kind_faults(values))
            if faults:
                raise StudyError(faults, where=where)
            values = _with_adapted_builder(values)
            faults = list(field_name_faults(values))
            if faults:
                raise StudyError(faults, where=where)

            super().__init__(**with_first_objective(values))
            remember_arguments(self.fixed)
            for name in ("initial", "class_weight"):  # of NumPy's numbers Python's
                object.__setattr__(self, name, python_value(getattr(self, name)))

            # Narrowed first: faults are looked for in what is searched.
            space = self.space if isinstance(self.space, Space) else Space(self.space)
            object.__setattr__(self, "space", space.narrowed(self.intervals))
            faults = list(study_faults(self))
            if faults:
                raise StudyError(faults, where=where)

            # Now, before anything is called: a builder may keep something from call to call.
            _ = self._fingerprints

    @functools.cached_property
    def _fingerprints(self) -> dict[str, str]:
        fingerprints = {"builder": fingerprint(self.builder), "data": fingerprint(self.data)}
        if self.objective.function is not None:
            fingerprints["objective_function"] = metric_fingerprint(self.objective.function)
        if self.callbacks is not None:
            fingerprints["callbacks"] = fingerprint(self.callbacks)
        for other in self.objectives[1:]:
            if other.function is not None:
                fingerprints[f"{other.metric}_function"] = metric_fingerprint(other.function)
        return fingerprints

    def __repr__(self) -> str:
        return (
            f"Study('{self.name}': {self._goal}, {self.engine}, "
            f"{self._budget}, {self._space_words})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("objective", self._goal),
            ("engine", self.engine if self.pruner == "none" else f"{self.engine}+{self.pruner}"),
            ("budget", self._budget),
            ("builder", getattr(self.builder, "__qualname__", repr(self.builder))),
            ("data", getattr(self.data, "__qualname__", repr(self.data))),
            (
                "fixed",
                ", ".join(f"{name}={_shortened(value)}" for name, value in self.fixed.items()),
            ),
            ("seed", self.seed),
        ]
        parts = [facts(rows)]
        if isinstance(self.space, DiscoveredSpace):
            parts.append(facts([("space", self._space_words)]))
        else:
            domains = self.space.domains.items()
            lines = [row for name, domain in domains for row in domain_rows(name, domain)]
            parts.append(table(("parameter", "values", "where"), lines))
        return block(f"Study {self.name}", *parts)

    @property
    def _goal(self) -> str:
        every = self.objectives or (self.objective,)
        goals = [f"{objective.direction} {objective.metric}" for objective in every]
        return " and ".join([*goals, *self.constraints])

    @property
    def _budget(self) -> str:
        trials = (
            "as many trials as the engine has" if self.trials is None else f"{self.trials} trials"
        )
        return f"{trials} of at most {self.epochs} epochs"

    @property
    def _space_words(self) -> str:
        # To ask such a space for its length is to run the builder.
        if isinstance(self.space, DiscoveredSpace):
            return "what its builder asks for"
        names = ", ".join(self.space.domains)
        return f"searching {names}"

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced, checked like any study."""
        # The objective of several is the first of them, and goes with them.
        if {"objective", "objectives"} & changes.keys():
            changes = {"objective": NO_OBJECTIVE, "objectives": (), **changes}
        return replace(self, **changes)

    def check(self) -> None:
        """Check the whole study again once its space is known; nothing to do for one of ours.

        Raises:
            StudyError: The builder cannot be run, or what it asks for does not fit the study.
        """
        if not isinstance(self.space, DiscoveredSpace):
            return
        try:
            _ = self.space.domains
        except StudyError as error:
            raise StudyError(error.faults, where=f"study '{self.name}'") from error
        faults = list(study_faults(self))
        trains_itself = engine_spec(self.engine).trial_function is not None
        if trains_itself and self.space.fit_changes:
            faults.append(
                f"{self.engine} trains by itself, but the builder's fit changes "
                f"{', '.join(sorted(self.space.fit_changes))} of the training; "
                "use an engine of Optuna or KerasTuner"
            )
        own_fit = self.space.own_fit
        if own_fit and trains_itself:
            faults.append(
                f"{self.engine} trains by itself, but {self.builder.__name__}.fit has a way of its "
                f"own: {own_fit}; use an engine of Optuna or KerasTuner"
            )
        if own_fit and self.trainer == "compiled":
            faults.append(
                f"the compiled trainer cannot carry out {self.builder.__name__}.fit: {own_fit}; "
                "use trainer='auto'"
            )
        if faults:
            raise StudyError(faults, where=f"study '{self.name}'")

    def split_params(self, params: Mapping[str, Any]) -> SplitParams:
        """Split a point of the space; a name that several take goes to each of them."""
        return split_params(self, params)

    def epochs_of(self, params: Mapping[str, Any]) -> int:
        """Return the epochs of a trial of these parameters: searched ones win over the field."""
        return epochs_of(params, self.space, self.epochs)

    @property
    def stops_early(self) -> bool:
        """Whether any trial has patience: with `cv`, rows are then held out to stop by."""
        return self.patience is not None or "patience" in self.space

    def from_data(self, dataset: Dataset) -> dict[str, Any]:
        """Return those of `FROM_DATA` that the builder names and that the study leaves open.

        And `SCIKERAS`' where the builder needs them.
        """
        known: dict[str, Any] = {
            "input_shape": dataset.input_shape,
            "task": dataset.task,
            "n_outputs": dataset.n_outputs,
        }
        # Only where there is no default: before, these were arguments like any other.
        needed = names_needed(self.builder)
        if "output_shape" in needed:
            known["output_shape"] = dataset.output_shape
        if "meta" in needed:
            known["meta"] = meta_of(dataset)
        if "compile_kwargs" in needed:
            known["compile_kwargs"] = {}
        named = inspect.signature(self.builder).parameters
        decided = {*self.fixed, *self.space}
        return {
            name: value for name, value in known.items() if name in named and name not in decided
        }

    def definition(self) -> dict[str, Any]:
        """Return what makes two searches comparable, as JSON.

        No time limits are in it, and `trials` only where it shapes what is proposed. It is compared
        with that of searches of earlier releases: no text in it may change.
        """
        definition = {name: getattr(self, name) for name in _COMPARED_AS_THEY_ARE}
        if not isinstance(self.cv, int | None):
            definition["cv"] = cv_text(self.cv)
        if engine_spec(self.engine).trials_shape_proposals:
            definition["trials"] = self.trials
        definition["objective"] = f"{self.objective.direction} {self.objective.metric}"
        definition["space"] = {
            name: described(domain) for name, domain in self.space.domains.items()
        }
        definition["fixed"] = {name: plain_repr(value) for name, value in self.fixed.items()}

        # Left out where unused: so definitions from before these fields came stay equal.
        if self.engine_options:
            definition["engine_options"] = dict(sorted(self.engine_options.items()))
        if isinstance(self.initial, int):
            if self.initial:
                definition["initial"] = self.initial
        elif self.initial:
            definition["initial"] = [plain_repr(dict(point)) for point in self.initial]
        if self.class_weight is not None:
            definition["class_weight"] = plain_repr(self.class_weight)
        if self.repeats != 1:
            definition["repeats"] = self.repeats
        if self.threshold is not None:
            definition["threshold"] = self.threshold
        if self.split:
            definition["split"] = self.split
        test_ranges = self.space.test_ranges
        if test_ranges:
            definition["from_range_test"] = test_ranges
        if self.objectives:
            definition["objectives"] = [
                f"{each.direction} {each.metric}" for each in self.objectives
            ]
        if self.constraints:
            definition["constraints"] = list(self.constraints)
        if self.batch_size_is != "global":
            definition["batch_size_is"] = self.batch_size_is
        if self.scale_lr:
            definition["scale_lr"] = True
        return {**definition, **self._fingerprints}

    @property
    def hash(self) -> str:
        """sha256 of `definition()`, 16 hex digits."""
        text = json.dumps(self.definition(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shortened(value: Any) -> str:
    """Return a fixed argument in a line: arrays and long texts are cut."""
    line = " ".join(str(value).split())
    return line if len(line) <= _MOST_OF_A_VALUE else f"{line[:_MOST_OF_A_VALUE]}…"


def _with_adapted_builder(values: dict[str, Any]) -> dict[str, Any]:
    """Return a study's fields with an adapter for a builder that asks for its parameters."""
    fixed = values.get("fixed") or {}
    space = values.get("space")
    if space is None:  # not `or`: to ask a space for its length is to discover it
        space = {}
    declared = space.declared if isinstance(space, DiscoveredSpace) else space
    decided = [*fixed, *(declared if isinstance(declared, Mapping | Space) else ())]
    builder = adapted(values.get("builder"), decided)
    if not isinstance(builder, ForeignBuilder):
        return values

    discovered = DiscoveredSpace(
        builder=builder,
        declared=declared.domains if isinstance(declared, Space) else declared,
        fixed=fixed,
        data=values.get("data"),
        in_full=values.get("trainer") != "function",
    )
    return {**values, "builder": builder, "space": discovered}


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 31-bit seed for one purpose, independent of every other (NumPy's `SeedSequence`)."""
    # Not `hash`, which differs in every process.
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
