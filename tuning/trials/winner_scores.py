"""The winner on the test part: its scores, those of the baselines, and what lies between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from tuning.builders.padding import scoring_weight
from tuning.data.arrays import Arrays, count_rows, join, only, take
from tuning.data.dataset import task_of
from tuning.data.faults import class_name
from tuning.ledger.winner import Evaluation, Margin, NoBetter
from tuning.scoring.baselines import baselines, scores
from tuning.scoring.case import class_numbers
from tuning.scoring.measure import Measure, is_always_ours, measure_of
from tuning.scoring.thresholds import tuned_threshold
from tuning.study.objective import others_asked
from tuning.study.study import Study
from tuning.trainer.forward import predict
from tuning.trainer.outputs import as_probabilities
from tuning.trainer.rows import Rows
from tuning.trial import Metrics
from tuning.trials.held_out_score import as_trained, compiled_scores, has_compiled_metrics
from tuning.trials.verdict.margin import Rivals, margin
from tuning.trials.worker_study import FoldRows, WorkerStudy


def winner_scores(
    worker_study: WorkerStudy,
    rows: FoldRows,
    model: keras.Model,
    *,
    X: Arrays,
    predicted: Arrays,
) -> Evaluation:
    """Return the scores of the winner and of the baselines, which are fitted here.

    Args:
        worker_study: The study and its data.
        rows: What the winner was trained on, and what was held out from it.
        model: The winner.
        X: The test part, prepared as the rows are.
        predicted: What the winner predicts for it.

    Returns:
        An evaluation without a file.
    """
    study = worker_study.study
    measures = _measures(worker_study)
    measure = measures[study.objective.metric]
    test_part = worker_study.parts.test
    jury = _Jury(
        worker_study,
        rows,
        tuple(each for each in measures.values() if each is not None),
        weight=scoring_weight(model, X, test_part.y, test_part.weight),
        inner_weight=_inner_weight(study, rows, model),
    )

    winner = jury.candidate(as_probabilities(model, predicted), jury.inner_probabilities(model))
    compiled = _compiled(worker_study, rows, model, X)
    others = jury.baselines(X)
    test = {**jury.scores(winner), **compiled}
    of_others = {name: jury.scores(other) for name, other in others.items()}

    margins: dict[str, Margin | None] = {}
    if measure is not None and study.objective.name not in compiled:
        for name in ("dummy", "linear"):
            if name in others:
                margins[name] = jury.margin(measure, winner, others[name])
    return Evaluation(
        test=test,
        baseline=of_others,
        margin=margins.get("linear"),
        no_better=_no_better(jury, margins, test, of_others),
        threshold=winner.threshold,
    )


def _measures(worker_study: WorkerStudy) -> dict[str, Measure | None]:
    """Return what computes each metric that the study asks for, the objective's first.

    None where the model itself does.
    """
    study = worker_study.study
    asked = (study.objective, *others_asked(study))
    return {each.metric: measure_of(each, worker_study.parts.task) for each in asked}


@dataclass(frozen=True, eq=False)
class _Candidate:
    """What one model says of the test part.

    Attributes:
        predicted: After the link, by output where there are several.
        threshold: Between two classes; None: above 0.5.
    """

    predicted: Arrays
    threshold: float | None


@dataclass(frozen=True, eq=False)
class _Jury:
    """Judges every candidate on the same rows by the same measures.

    Attributes:
        weight: What the rows of the test part count; the steps that the winner masks nothing.
        inner_weight: The same of the rows that a threshold is tuned on.
    """

    worker_study: WorkerStudy
    rows: FoldRows
    measures: tuple[Measure, ...]
    weight: Arrays | None
    inner_weight: Arrays | None

    def candidate(self, predicted: Arrays, inner: Arrays | None) -> _Candidate:
        """Return predictions for the test part with the threshold that the study wants.

        Args:
            predicted: For the test part.
            inner: For the rows held out from training, where the threshold is to be tuned on them.
        """
        study = self.worker_study.study
        if study.threshold != "tuned":
            return _Candidate(predicted, study.threshold)
        assert inner is not None  # noqa: S101 - they are there where it is tuned
        held_out = self.rows.stopping
        threshold = tuned_threshold(
            study.objective, self.worker_study.parts.task, held_out.y, inner, self.inner_weight
        )
        return _Candidate(predicted, threshold)

    def inner_probabilities(self, model: keras.Model) -> Arrays | None:
        """Return what a model predicts for the rows that a threshold is tuned on."""
        if self.worker_study.study.threshold != "tuned":
            return None
        probabilities: Arrays = as_probabilities(model, predict(model, self.rows.stopping.X))
        return probabilities

    def baselines(self, X: Arrays) -> dict[str, _Candidate]:
        """Return the baselines, fitted on the winner's rows, their thresholds tuned as its is."""
        parts = self.worker_study.parts
        if self.worker_study.study.threshold != "tuned":
            predictions = baselines(parts.task, self.rows.train, X, parts.test.y)
            return {name: self.candidate(theirs, None) for name, theirs in predictions.items()}

        held_out = self.rows.stopping
        both_X = join([held_out.X, X])
        n_inner = count_rows(held_out.X)
        # Of y its shape counts: that of the rows held out is the loss's, not the data set's.
        test_y = only(parts.test.y)
        both_y = np.zeros((n_inner + len(test_y), *test_y.shape[1:]), test_y.dtype)
        candidates = {}
        for name, theirs in baselines(parts.task, self.rows.train, both_X, both_y).items():
            inner = take(theirs, slice(None, n_inner))
            candidates[name] = self.candidate(take(theirs, slice(n_inner, None)), inner)
        return candidates

    def scores(self, candidate: _Candidate) -> dict[str, float]:
        """Return the standard metrics and the objective's."""
        test = self.worker_study.parts.test
        return scores(
            self.worker_study.parts.task,
            test.y,
            candidate.predicted,
            self.weight,
            measures=self.measures,
            threshold=candidate.threshold,
        )

    def most_frequent(self) -> str:
        """Return what a dummy always predicts, in words; "" where that has no name."""
        parts = self.worker_study.parts
        if parts.task == "regression":
            return "the mean"
        if parts.task not in ("binary", "multiclass"):
            return ""
        numbers = class_numbers(only(self.rows.train.y), task_of(parts.task))
        counts = np.bincount(numbers.reshape(-1))
        return class_name(parts.classes, int(counts.argmax()))

    def margin(self, measure: Measure, winner: _Candidate, other: _Candidate) -> Margin | None:
        """Return by how much the winner beats another."""
        test = self.worker_study.parts.test
        rivals = Rivals(
            y=test.y,
            winner=winner.predicted,
            other=other.predicted,
            weight=self.weight,
            thresholds=(winner.threshold, other.threshold),
        )
        return margin(measure, self.worker_study.study.objective, rivals)


def _inner_weight(study: Study, rows: FoldRows, model: keras.Model) -> Arrays | None:
    if study.threshold != "tuned":
        return None
    held_out = rows.stopping
    return scoring_weight(model, held_out.X, held_out.y, held_out.weight)


def _compiled(
    worker_study: WorkerStudy, rows: FoldRows, model: keras.Model, X: Arrays
) -> dict[str, float]:
    """Return what the model was compiled with, where that is more than a loss nobody asks for.

    Of a name that is always ours our own value counts.
    """
    study = worker_study.study
    are_ours = all(measure is not None for measure in _measures(worker_study).values())
    if are_ours and not has_compiled_metrics(model):
        return {}
    test = worker_study.parts.test
    y = as_trained(rows.targets(test.y), rows.train.y)
    if y is None:
        return {}
    values = compiled_scores(model, Rows(X, y, rows.weights(test)))
    asked = (study.objective, *others_asked(study))
    own = {each.name for each in asked if each.function is not None}
    return {
        name: value
        for name, value in values.items()
        if name not in own and not is_always_ours(name)
    }


def _no_better(
    jury: _Jury,
    margins: Mapping[str, Margin | None],
    test: Metrics,
    of_others: Mapping[str, Metrics],
) -> NoBetter | None:
    """Return the first baseline, the dummy before the linear one, that is not surely beaten.

    A lead within its own standard error is none.
    """
    metric = jury.worker_study.study.objective.name
    for name, lead in margins.items():
        if lead is None or lead.difference > lead.standard_error:
            continue
        return NoBetter(
            baseline=name,
            metric=metric,
            winner=test[metric],
            theirs=of_others[name][metric],
            margin=lead,
            always=jury.most_frequent() if name == "dummy" else "",
        )
    return None
