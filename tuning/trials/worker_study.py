"""`WorkerStudy`: the study, its data in parts, the rows of each fit; made once a process."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from tuning.builders.build import build
from tuning.builders.fold_rows import Cut as Cut
from tuning.builders.fold_rows import FoldRows as FoldRows
from tuning.builders.fold_rows import first_rows
from tuning.data.arrays import Array, join, only
from tuning.data.data_values import DataValues
from tuning.data.dataset import Tasks
from tuning.data.folds import FoldNumbers
from tuning.data.parts import Part, Parts
from tuning.errors import ChangedError, StudyError
from tuning.scoring.measure import check_direction, measure_of
from tuning.scoring.thresholds import SHARE, check_threshold, few_held_out
from tuning.study.builder_arguments import SplitParams
from tuning.study.info import pin
from tuning.study.objective import others_asked
from tuning.study.source import load_source
from tuning.study.study import Study, derive_seed
from tuning.study.study_data import arguments_text, default_arguments, load_dataset, split_dataset
from tuning.trainer.devices import scale_learning_rate, strategy_scope
from tuning.trial import Params
from tuning.trials.jobs import Overrides, Source

_MOST_FOLDS_KEPT = 16


@dataclass(frozen=True, eq=False)
class WorkerStudy:
    """One study and its data, ready to train.

    Attributes:
        study: What is searched.
        parts: Its data, split.
        builder_arguments: Those filled in from the data: `input_shape`, `task`, `n_outputs`, where
            the builder names them.
        data_arguments: What the data function was called with.
        data_values: The same study with its data for other arguments, the last ones used.
    """

    study: Study
    parts: Parts
    builder_arguments: Params
    data_arguments: Params = field(default_factory=dict)
    data_values: DataValues[WorkerStudy] = field(default_factory=DataValues)
    _kept_folds: dict[int, FoldRows] = field(default_factory=dict)

    def for_data(self, arguments: Params, digest: str = "") -> WorkerStudy:
        """Return the study with its data for these arguments; made once and kept a while.

        Args:
            arguments: Of the data function (`SplitParams.data`).
            digest: What their data were in the trial; "": any.

        Raises:
            StudyError: These data are wrong.
            ChangedError: They are no longer what they were.
        """
        text = arguments_text(self.study, arguments)
        found = self
        if text != arguments_text(self.study, self.data_arguments):
            found = self.data_values.get(text, lambda: self._with_data(arguments))
        if digest and digest != found.parts.digest:
            raise ChangedError(
                f"data({_in_words(arguments)}) gives other rows than before (digest "
                f"{digest[:16]}, now {found.parts.digest[:16]}); a data function must give the "
                "same rows at each call. Put the old ones back and run again, or use --fresh",
                where=f"study '{self.study.name}'",
            )
        return found

    def for_params(self, params: Params, digest: str = "") -> WorkerStudy:
        """Return the study with the data of a point of the space; see `for_data`."""
        return self.for_data(self.study.split_params(params).data, digest)

    def _with_data(self, arguments: Params) -> WorkerStudy:
        made = with_data(self.study, arguments)
        return replace(made, data_values=self.data_values)

    def model_at(self, point: SplitParams, seed: int) -> keras.Model:
        """Return the model of a point of the space, built, on the devices of one trial."""
        arguments = {**self.builder_arguments, **point.builder}
        with strategy_scope(self.study.gpus_per_trial):
            model = build(self.study.builder, arguments, seed, input_shape=self.parts.input_shape)
            if self.study.scale_lr:
                scale_learning_rate(model, self.study.gpus_per_trial)
        return model

    @functools.cached_property
    def _folds(self) -> list[FoldNumbers]:
        """The rows of each fold, as numbers within `parts.search_part`; none without `--cv`."""
        return [] if self.study.cv is None else self.parts.folds(self.study.cv)

    @property
    def n_folds(self) -> int:
        """Folds of one trial."""
        return len(self._folds) or 1

    @property
    def n_fits(self) -> int:
        """Fits of one trial: its folds, as often as it is repeated."""
        return self.n_folds * self.study.repeats

    def rows_of_fit(self, fit: int) -> FoldRows:
        """Return the rows of fit number `fit`: of each repeat first fold 0, then fold 1, …"""
        return self.fold(fit % self.n_folds)

    def fold(self, fold: int) -> FoldRows:
        """Return the rows of fit number `fold`, from 0; the same arrays at every call."""
        kept = self._kept_folds
        if fold not in kept:
            if len(kept) == _MOST_FOLDS_KEPT:
                kept.pop(next(iter(kept)))
            kept[fold] = self._fold(fold)
        return kept[fold]

    def _fold(self, fold: int) -> FoldRows:
        inner = self.inner_rows_of_fold(fold)
        if self.study.cv is None and inner is None:
            return first_rows(
                lambda: Cut(self.parts.train, self.parts.validation, None), self.parts
            )

        def scoring() -> Part:
            if self.study.cv is None:
                return self.parts.validation
            return self.parts.search_part.take(self._folds[fold].scoring)

        return self._fit_rows(self._training_rows(fold), inner, scoring)

    def _training_rows(self, fold: int) -> Array:
        """Return the rows that a fit may train on, as numbers within `parts.search_part`."""
        if self.study.cv is None:
            return np.arange(len(self.parts.train))
        return self._folds[fold].training

    def inner_rows_of_fold(self, fold: int) -> tuple[Array, Array] | None:
        """Return (rows to fit, rows held out) of a fit, as numbers within its training rows.

        Held out to stop by, or to tune a threshold on. None where nothing is: without a threshold,
        and without `--cv` or patience; without `--cv` the validation part is there to stop by.
        """
        stops_inside = self.study.stops_early and self.study.cv is not None
        if self.study.threshold != "tuned" and not stops_inside:
            return None
        return self._held_out(self._training_rows(fold))

    def _held_out(self, rows: Array) -> tuple[Array, Array]:
        seed = derive_seed(self.study.seed, "inner") % 2**31
        share = SHARE if self.study.threshold == "tuned" else 0.1
        return self.parts.stopping_rows(rows, seed=seed, share=share)

    def notices(self) -> tuple[str, ...]:
        """Return what a user should know of the rows that fits hold out, before the search."""
        y = self.parts.train.y
        if self.study.threshold != "tuned" or not isinstance(y, np.ndarray):
            return ()
        y = only(join([y, self.parts.validation.y]))
        held_out = []
        for fold in range(self.n_folds):
            inner = self.inner_rows_of_fold(fold)
            if inner is not None:
                held_out.append(y[self._training_rows(fold)[inner[1]]])
        if self._winner_has_rows_of_its_own:
            held_out.append(y[self._held_out(np.arange(len(y)))[1]])
        sentence = few_held_out(held_out, self.parts.classes)
        return (sentence,) if sentence else ()

    @property
    def _winner_has_rows_of_its_own(self) -> bool:
        return self.study.cv is not None or self.parts.trains_to_test

    @functools.cached_property
    def _final(self) -> FoldRows:
        if not self._winner_has_rows_of_its_own:
            return self.fold(0)

        by_time = self.parts.trains_to_test
        rows = np.arange(len(self.parts.keys))
        stops_inside = self.study.stops_early and not by_time
        holds_out = stops_inside or self.study.threshold == "tuned"
        inner = self._held_out(rows) if holds_out else None
        return replace(self._fit_rows(rows, inner, lambda: None), stops_early=not by_time)

    def final(self) -> FoldRows:
        """Return the rows the winner is trained on.

        With `--cv` these are training and validation part together. By time they are so too, all of
        them up to the test part, and for as many epochs as the validation found: no rows are held
        out to stop by.
        """
        return self._final

    def _fit_rows(
        self,
        rows: Array,
        inner: tuple[Array, Array] | None,
        scoring: Callable[[], Part | None],
    ) -> FoldRows:
        """Return the rows of a fit.

        All are prepared by what remains to be trained on.

        Args:
            rows: What it may train on, as numbers within `parts.search_part`.
            inner: Which of them it trains on, and which it stops by.
            scoring: What it is scored on; None: the winner is scored on the test part.
        """

        def cut() -> Cut:
            return _cut(self.parts.search_part.take(rows), inner, scoring())

        return first_rows(cut, self.parts)


def _cut(train: Part, inner: tuple[Array, Array] | None, scoring: Part | None) -> Cut:
    if inner is None:
        return Cut(train, scoring, None)
    fit_rows, stop_rows = inner
    return Cut(train.take(fit_rows), scoring, train.take(stop_rows))


def load_worker_study(source: Source, overrides: Overrides, pinned: str = "") -> WorkerStudy:
    """Return the study with its data; made once a process.

    Args:
        source, overrides: The study; see `StudyInfo.for_workers`.
        pinned: `StudyInfo.pinned` of the search; a worker may start long after it and find other
            files.

    Raises:
        ChangedError: The study file or its data are no longer those of the search.
    """
    worker_study = _worker_study(source, _Changes.of(overrides))

    now = pin(worker_study.study.hash, worker_study.parts.digest)
    if pinned and pinned != now:
        raise ChangedError(
            "study file or data changed while the search was running "
            f"(pinned {pinned}, found {now}); a data function must give the same rows at each "
            "call. Put the old ones back and run again, or use --fresh",
            where=f"study '{worker_study.study.name}'",
        )
    return worker_study


@dataclass(frozen=True)
class _Changes:
    """Changes of a study's fields as the key of a cache.

    Attributes:
        text: What they are compared by.
        overrides: As they are: JSON would make lists of tuples in the points of `initial`.
    """

    text: str
    overrides: Overrides = field(compare=False)

    @classmethod
    def of(cls, overrides: Overrides) -> _Changes:
        return cls(json.dumps(dict(overrides), sort_keys=True, default=repr), overrides)


@functools.lru_cache(maxsize=2)
def _worker_study(source: Source, changes: _Changes) -> WorkerStudy:
    study = load_source(source, changes.overrides)

    made = with_data(study, default_arguments(study))
    # Here, and not in the judge: what no trial can be judged by ends the run.
    check_objective(study, made.parts.task)
    return made


def with_data(study: Study, arguments: Params) -> WorkerStudy:
    """Return a study with its data for some arguments of the data function.

    Raises:
        StudyError: The data are wrong; says for which arguments, where there are any.
    """
    try:
        dataset = load_dataset(study, arguments)
        parts = split_dataset(study, dataset)
    except StudyError as error:
        if not arguments:
            raise
        raise StudyError(error.faults, where=f"data({_in_words(arguments)})") from error
    return WorkerStudy(study, parts, study.from_data(dataset), dict(arguments))


def _in_words(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def check_objective(study: Study, task: Tasks) -> None:
    """Raise `StudyError` where the study's objective or threshold does not fit the data."""
    if study.trainer == "function":  # it names its value as it likes
        return
    for objective in (study.objective, *others_asked(study)):
        measure_of(objective, task)
    for objective in (study.objective, *study.objectives):
        check_direction(objective, task)
    check_threshold(study.threshold, task)
