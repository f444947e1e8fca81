"""What a process that trains a study needs, made once: the study, its data in parts, the rows of
each fit.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle

from tuning.data.parts import Part, Parts, Scaler, Scaling, folds, inner_split, split
from tuning.errors import ChangedError, StudyError
from tuning.study.info import pin
from tuning.study.objective import METRICS
from tuning.study.study import Study, derive_seed, load_study
from tuning.trainer.train import Rows
from tuning.trials import metrics
from tuning.trials.jobs import Source


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
    """One study and its data, ready to train."""

    study: Study
    parts: Parts
    builder_arguments: Mapping[str, Any]
    """Filled in from the data: `input_shape`, `task`, `n_outputs`, as far as the builder names
    them.
    """

    @functools.cached_property
    def n_fits(self) -> int:
        """Fits of one trial."""
        return self.study.cv or 1

    @functools.lru_cache(maxsize=16)  # noqa: B019 - a worker_study lives as long as its process
    def fold(self, fold: int) -> FoldRows:
        """Return the rows of fit number `fold`, from 0; the same arrays at every call."""
        if self.study.cv is None:
            scaled = self.parts.scaled()
            scoring = _rows(scaled.validation)
            return FoldRows(_rows(scaled.train), scoring, scoring, scaled.scaler or Scaler())
        whole = self.parts.search_part
        train_rows, scoring_rows = folds(whole.y, self.study.cv, self.parts.task)[fold]
        return self._inner(whole.take(train_rows), whole.take(scoring_rows))

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def final(self) -> FoldRows:
        """Return the rows the winner is trained on: with `--cv` training and validation part
        together.
        """
        if self.study.cv is None:
            return self.fold(0)
        return self._inner(self.parts.search_part, None)

    def _inner(self, train: Part, scoring: Part | None) -> FoldRows:
        """Take the stopping rows out of the training rows where patience needs them; scale by what
        remains.
        """
        stopping: Part | None = None
        if self.study.patience is not None:
            seed = derive_seed(self.study.seed, "inner") % 2**31
            fit_rows, stop_rows = inner_split(train.y, seed=seed, task=self.parts.task)
            train, stopping = train.take(fit_rows), train.take(stop_rows)
        fitted = self.parts.fitted(train.X)
        parts = (train, scoring, stopping)
        scaled = [None if p is None else _rows(Part(fitted.transform(p.X), p.y)) for p in parts]
        rows, score_rows, stop = scaled
        assert rows is not None  # noqa: S101 - train is always given
        return FoldRows(rows, score_rows or stop or rows, stop or score_rows or rows, fitted)


def load_source(source: Source, overrides: Mapping[str, Any]) -> Study:
    """Return the study meant, with the command line's changes.

    Raises:
        StudyError: The file or the changes are wrong; all faults at once.
    """
    study = load_study(source) if isinstance(source, str) else cloudpickle.loads(source)
    if not isinstance(study, Study):
        raise StudyError(f"expected a Study, got {study!r}")
    return study.with_(**overrides) if overrides else study


def worker_study(source: Source, overrides: Mapping[str, Any], pinned: str = "") -> WorkerStudy:
    """Return the study's worker_study; made once a process.

    Args:
        source, overrides: The study.
        pinned: `StudyInfo.pinned` of the search; a worker may start long after it and find other
            files.

    Raises:
        ChangedError: The study file or its data are no longer those of the search.
    """
    bench = _worker_study(source, json.dumps(dict(overrides), sort_keys=True))
    found = pin(bench.study.hash, bench.parts.digest)
    if pinned and pinned != found:
        raise ChangedError(
            f"study file or data changed while the search was running (pinned {pinned}, found {found}); a data "
            "function must give the same rows at each call. Put the old ones back and run again, or use --fresh",
            where=f"study '{bench.study.name}'",
        )
    return bench


@functools.lru_cache(maxsize=2)
def _worker_study(source: Source, overrides: str) -> WorkerStudy:
    study = load_source(source, json.loads(overrides))
    dataset = study.data()
    parts = split(
        dataset, seed=study.seed, test_size=study.test_size, validation_size=study.validation_size
    )
    if study.objective.name in METRICS:
        metrics.check(study.objective.name, parts.task)
    return WorkerStudy(study, parts, study.from_data(dataset))


def _rows(part: Part) -> Rows:
    """Return rows that nobody can change, so that a worker moves them to its device once."""
    arrays = (part.X.view(), part.y.view())
    for array in arrays:
        array.flags.writeable = False
    return Rows(*arrays)
