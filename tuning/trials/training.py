"""`Training`: what the training of one proposal is given, put together once on its way.

And the limits that it keeps to: figures of the built model before it, metrics after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from tuning.builders.figures import figures_of
from tuning.builders.inputs.adapting import adapt_layers
from tuning.data.arrays import Arrays, take
from tuning.data.kinds.stream_array import stream_part
from tuning.errors import StudyError
from tuning.space.constraints import broken, constraints_of, violations
from tuning.study.builder_arguments import SplitParams
from tuning.study.objective import figures_asked
from tuning.study.study import Study, derive_seed
from tuning.trial import Context, Metrics, Status, TrialResult
from tuning.trials.jobs import TrialJob, refused
from tuning.trials.worker_study import WorkerStudy


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training of one proposal.

    Attributes:
        job: What the driver wants trained.
        worker_study: The study and its data.
        point: The proposal's parameters: what the builder takes, what the training takes.
        seed: Of weights, order of rows and dropout, in the first of the study's repeats.
        context: Where epochs are reported.
    """

    job: TrialJob
    worker_study: WorkerStudy
    point: SplitParams
    seed: int
    context: Context

    def seed_of(self, fit: int) -> int:
        """Return the seed of a fit: all folds of one repeat have the same."""
        repeat = fit // self.worker_study.n_folds
        return self.seed if repeat == 0 else derive_seed(self.seed, "repeat", repeat)

    @property
    def half_batch_size(self) -> int:
        """Half of its rows a step, as many for each GPU; 0: they cannot be halved."""
        n_gpus = self.worker_study.study.gpus_per_trial
        return self.point.batch_size // 2 // n_gpus * n_gpus

    def at_batch_size(self, batch_size: int) -> Self:
        """Return the same training with so many rows a step."""
        study = self.worker_study.study
        if study.batch_size_is == "per_replica":
            batch_size //= study.gpus_per_trial
        proposal = self.job.proposal
        params = {**proposal.params, "batch_size": batch_size}
        return replace(
            self,
            job=replace(self.job, proposal=replace(proposal, params=params)),
            point=self.worker_study.study.split_params(params),
        )


Train: TypeAlias = Callable[[Training], TrialResult]
"""Trains a proposal; returns the result of a trial that goes well, raises where it does not."""


def within_limits(train: Train, training: Training) -> TrialResult:
    """Train, unless the built model breaks a constraint of the study; judge what was trained.

    Args:
        train: Trains.
        training: What; where the study asks for no figure and has one objective, nothing is added.

    Returns:
        An INFEASIBLE result, with the figures in words, where a constraint is broken: without a
        value where nothing was trained, with its value where a metric broke it.
    """
    study = training.worker_study.study
    # The builder of a function is the trial: it looks at the first value itself.
    if study.trainer == "function" or not figures_asked(study):
        return judged(study, train(training), {})

    figures = measured(training.worker_study, training.point, training.seed)
    if broken(constraints_of(study.constraints), figures):
        return refused(study, training.job.proposal.number, figures)
    return judged(study, train(training), figures)


def judged(study: Study, result: TrialResult, figures: Metrics) -> TrialResult:
    """Add to what was trained the model's figures, all objectives, and how constraints stand.

    A completed trial that breaks a constraint is INFEASIBLE, and keeps its value.
    """
    if not study.objectives and not study.constraints:
        return result

    metrics = {**result.metrics, **figures}
    if result.value is None:
        return replace(result, metrics=metrics)

    values = None
    if study.objectives:
        values = tuple(metrics[objective.metric] for objective in study.objectives)
    constraints = constraints_of(study.constraints)
    breaks = broken(constraints, metrics)
    status = result.status
    if breaks and status is Status.COMPLETED:
        status = Status.INFEASIBLE

    return replace(
        result,
        status=status,
        metrics=metrics,
        values=values,
        violations=violations(constraints, metrics),
        error="; ".join(filter(None, (result.error, breaks))),
    )


def measured(worker_study: WorkerStudy, point: SplitParams, seed: int) -> dict[str, float]:
    """Build the model of a point, look at it and drop it: nothing is trained.

    Args:
        worker_study: The study and its data.
        point: Builder arguments and fit settings.
        seed: Of the weights.

    Returns:
        The figures that the study asks for.

    Raises:
        StudyError: `latency_ms` of a stream, which has no row that could be looked at alone.
    """
    asked = figures_asked(worker_study.study)
    model = worker_study.model_at(point, seed)

    row: Arrays | None = None
    if "latency_ms" in asked:
        if stream_part(worker_study.parts.train.X) is not None:
            raise StudyError("latency_ms is measured on a row in memory: use n_parameters, size_kb")
        # As in training: texts and ids as they are, vocabularies learnt.
        rows = worker_study.fold(0).for_model(model)
        adapt_layers(model, rows.train.X)
        row = take(rows.scoring.X, slice(0, 1))
    return figures_of(model, asked, row)
