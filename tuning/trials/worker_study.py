"""`WorkerStudy`: the study, its data in parts, the rows of each fit; made once a process."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle

from tuning.data.arrays import Array, each
from tuning.data.dataset import Tasks
from tuning.data.lazy import LazyArray
from tuning.data.parts import Part, Parts, Scaler, Scaling, folds, inner_split, split
from tuning.errors import ChangedError, StudyError
from tuning.scoring.measure import measure_of
from tuning.scoring.thresholds import SHARE, check_threshold
from tuning.study.info import pin
from tuning.study.study import Study, derive_seed, load_study
from tuning.trainer.train import Rows
from tuning.trial import Params
from tuning.trials.jobs import Overrides, Source


@dataclass(frozen=True, eq=False)
class FoldRows:
    """The rows of one fit, scaled by what is trained on alone.

    Attributes:
        train: What is trained on.
        scoring: What the objective is computed on.
        stopping: What early stopping looks at; the scoring rows themselves without `--cv`, never
            with it.
        scaler: What the inputs were scaled with.
    """

    train: Rows
    scoring: Rows
    stopping: Rows
    scaler: Scaling


@dataclass(frozen=True, eq=False)
class WorkerStudy:
    """One study and its data, ready to train.

    Attributes:
        study: What is searched.
        parts: Its data, split.
        builder_arguments: Those filled in from the data: `input_shape`, `task`, `n_outputs`, where
            the builder names them.
    """

    study: Study
    parts: Parts
    builder_arguments: Params

    @functools.cached_property
    def n_fits(self) -> int:
        """Fits of one trial."""
        return self.study.cv or 1

    @property
    def inner_share(self) -> float:
        """Share of the training rows that are held out to stop by, or to tune a threshold on."""
        return SHARE if self.study.threshold == "tuned" else 0.1

    @functools.lru_cache(maxsize=16)  # noqa: B019 - a WorkerStudy lives as long as its process
    def fold(self, fold: int) -> FoldRows:
        """Return the rows of fit number `fold`, from 0; the same arrays at every call."""
        if self.study.cv is None and self.study.threshold == "tuned":
            return self._inner(self.parts.train, self.parts.validation)
        if self.study.cv is None:
            scaled = self.parts.scaled()
            scoring = _rows(scaled.validation)
            return FoldRows(
                train=_rows(scaled.train),
                scoring=scoring,
                stopping=scoring,
                scaler=scaled.scaler or Scaler(),
            )

        search_part = self.parts.search_part
        splits = folds(search_part.y, self.study.cv, self.parts.task)
        train_rows, scoring_rows = splits[fold]
        return self._inner(search_part.take(train_rows), search_part.take(scoring_rows))

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def final(self) -> FoldRows:
        """Return the rows the winner is trained on.

        With `--cv` these are training and validation part together.
        """
        if self.study.cv is None:
            return self.fold(0)
        return self._inner(self.parts.search_part, None)

    def _inner(self, train: Part, scoring: Part | None) -> FoldRows:
        """Take the stopping rows out of the training rows where patience or a threshold needs them.

        All are scaled by what remains to be trained on.
        """
        stopping = None
        if self.study.patience is not None or self.study.threshold == "tuned":
            seed = derive_seed(self.study.seed, "inner") % 2**31
            fit_rows, stop_rows = inner_split(
                train.y, seed=seed, share=self.inner_share, task=self.parts.task
            )
            stopping = train.take(stop_rows)
            train = train.take(fit_rows)
        scaler = self.parts.fitted(train.X)

        def scaled(part: Part) -> Rows:
            return _rows(replace(part, X=scaler.transform(part.X)))

        train_rows = scaled(train)
        scoring_rows = None if scoring is None else scaled(scoring)
        stopping_rows = None if stopping is None else scaled(stopping)
        # Where there are none of a kind, the other kind stands in, and last the training rows.
        return FoldRows(
            train=train_rows,
            scoring=scoring_rows or stopping_rows or train_rows,
            stopping=stopping_rows or scoring_rows or train_rows,
            scaler=scaler,
        )


def load_source(source: Source, overrides: Overrides) -> Study:
    """Return the study meant, with the command line's changes.

    Raises:
        StudyError: The file or the changes are wrong; all faults at once.
    """
    study = load_study(source) if isinstance(source, str) else cloudpickle.loads(source)
    if not isinstance(study, Study):
        raise StudyError(f"expected a Study, got {study!r}")
    study = study.with_(**overrides) if overrides else study
    study.check()
    return study


def load_worker_study(source: Source, overrides: Overrides, pinned: str = "") -> WorkerStudy:
    """Return the study with its data; made once a process.

    Args:
        source, overrides: The study.
        pinned: `StudyInfo.pinned` of the search; a worker may start long after it and find other
            files.

    Raises:
        ChangedError: The study file or its data are no longer those of the search.
    """
    # As text, overrides can be the key of a cache.
    worker_study = _worker_study(source, json.dumps(dict(overrides), sort_keys=True))

    now = pin(worker_study.study.hash, worker_study.parts.digest)
    if pinned and pinned != now:
        raise ChangedError(
            "study file or data changed while the search was running "
            f"(pinned {pinned}, found {now}); a data function must give the same rows at each "
            "call. Put the old ones back and run again, or use --fresh",
            where=f"study '{worker_study.study.name}'",
        )
    return worker_study


@functools.lru_cache(maxsize=2)
def _worker_study(source: Source, overrides: str) -> WorkerStudy:
    study = load_source(source, json.loads(overrides))

    dataset = study.data()
    parts = split(
        dataset,
        seed=study.seed,
        test_size=study.test_size,
        validation_size=study.validation_size,
    )
    # Here, and not in the judge: what no trial can be judged by ends the run.
    check_objective(study, parts.task)
    return WorkerStudy(study, parts, study.from_data(dataset))


def check_objective(study: Study, task: Tasks) -> None:
    """Raise `StudyError` where the study's objective or threshold does not fit the data."""
    if study.trainer == "function":  # it names its value as it likes
        return
    measure_of(study.objective, task)
    check_threshold(study.threshold, task)


def _rows(part: Part) -> Rows:
    """Return rows that nobody can change, so that a worker moves them to its device once."""

    def fixed(array: Array) -> Array:
        if isinstance(array, LazyArray):  # which nobody can change
            return array
        view = array.view()
        view.flags.writeable = False
        return view

    given = (part.X, part.y) if part.weight is None else (part.X, part.y, part.weight)
    arrays: list[Any] = [each(fixed, array) for array in given]
    return Rows(*arrays)
