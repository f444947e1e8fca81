"""`Training`: what the training of one proposal is given, put together once on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from tuning.study.builder_arguments import SplitParams
from tuning.study.study import derive_seed
from tuning.trial import Context, TrialResult
from tuning.trials.jobs import TrialJob
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

    def at_batch_size(self, batch_size: int) -> Self:
        """Return the same training with other batches."""
        proposal = self.job.proposal
        params = {**proposal.params, "batch_size": batch_size}
        return replace(
            self,
            job=replace(self.job, proposal=replace(proposal, params=params)),
            point=self.worker_study.study.split_params(params),
        )


Train: TypeAlias = Callable[[Training], TrialResult]
"""Trains a proposal; returns the result of a trial that goes well, raises where it does not."""
