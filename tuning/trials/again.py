"""A trial or a finalist trained again from its record: nothing of the search is touched."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tuning.ledger.winner import FinalistOutcome
from tuning.storage.secrets import shown_definition
from tuning.trial import Answer, Context, EpochReport, TrialResult
from tuning.trials.finalist import train_finalist
from tuning.trials.jobs import FinalistJob, Overrides, Source, TrialJob
from tuning.trials.trial import run_trial
from tuning.trials.worker_study import load_worker_study


class _Pruned:
    """A context that ends a trial at the epoch at which its pruner did.

    Args:
        inner: The worker's.
        last: That epoch.
    """

    def __init__(self, inner: Context, last: int) -> None:
        self.slot = inner.slot
        self.inner = inner
        self.last = last

    def report(self, report: EpochReport) -> Answer:
        answer = self.inner.report(report)
        return Answer.PRUNE if report.epoch >= self.last else answer

    def retire(self) -> None:
        self.inner.retire()


def definition_now(source: Source, overrides: Overrides, context: Context) -> dict[str, Any]:
    """Return the study's definition as its file and its data are today; see `StudyInfo`."""
    known = load_worker_study(source, overrides)
    shown = {**shown_definition(known.study.definition()), "data_digest": known.parts.digest}
    plain: dict[str, Any] = json.loads(json.dumps(shown, default=repr))
    return plain


def trial_again(job: TrialJob, pruned_at: int | None, context: Context) -> TrialResult:
    """Train a trial again.

    Args:
        job: With a folder of its own.
        pruned_at: The epoch that its pruner was told of last; None: it was not pruned.
        context: Of the worker.
    """
    study = load_worker_study(job.source, job.overrides).study
    together = (study.cv is not None or study.repeats > 1) and study.pruner != "none"
    job = replace(job, lockstep=together)
    return run_trial(job, context if pruned_at is None else _Pruned(context, pruned_at))


def finalist_again(job: FinalistJob, context: Context) -> FinalistOutcome:
    """Train a finalist on one of its seeds again."""
    return train_finalist(job, context)
