"""Training the fits of a trial, one after another or in lock-step, and telling the driver."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tuning.trial import Answer, EpochReport
from tuning.trials.folds import FoldFit
from tuning.trials.jobs import Stopped
from tuning.trials.training import Training


class EpochReporter:
    """Passes epochs to the driver; their seconds count from its own beginning."""

    def __init__(self, training: Training) -> None:
        self._number = training.job.proposal.number
        self._metric = training.worker_study.study.objective.metric
        self._context = training.context
        self._began = time.perf_counter()

    def one_fold(self, row: Mapping[str, float], fits: int = 1) -> Answer:
        """Report an epoch of the only fit, or of one fold among several."""
        report = EpochReport(
            number=self._number,
            epoch=int(row["epoch"]),
            value=row[self._metric],
            metrics=row,
            seconds=time.perf_counter() - self._began,
            fits=fits,
        )
        return self._context.report(report)

    def mean_of(self, fits: list[FoldFit], epoch: int) -> Answer:
        """Report the mean over folds at an epoch; one that has stopped counts with its last."""
        rows = [item.row_at(epoch) for item in fits]
        means = {}
        for name in rows[0]:
            means[name] = sum(row[name] for row in rows) / len(rows)
        means["epoch"] = epoch

        # A fold that has stopped has trained nothing in this epoch.
        n_trained = sum(item.last_epoch >= epoch for item in fits)
        return self.one_fold(means, n_trained)

    def check(self, answer: Answer) -> None:
        """Raise `Stopped` where the driver wants the slot back."""
        if answer is Answer.STOP:
            raise Stopped(f"trial {self._number}")


def advance(item: FoldFit, reporter: EpochReporter) -> None:
    """Train one fit to its end.

    Raises:
        Stopped: The driver wants the slot back.
    """
    judge = item.judge
    # The epochs of an earlier attempt: this may be another driver, whose pruner has not seen them.
    for row in judge.curve:
        if judge.answer is Answer.CONTINUE:
            judge.answer = reporter.one_fold(row)

    if judge.answer is Answer.CONTINUE:
        item.train()
    # One that has ended leaves its result, not a checkpoint for the rest.
    if judge.answer is Answer.STOP and item.has_ended:
        judge.answer = Answer.CONTINUE
    reporter.check(judge.answer)


def advance_together(fits: list[FoldFit], reporter: EpochReporter) -> None:
    """Train one epoch of each fold in turn, report their mean, obey the answer for all.

    Raises:
        Stopped: The driver wants the slot back.
    """
    if any(item.fit.reason for item in fits):
        fits[0].fit.notes.append(
            "model.fit cannot be advanced epoch by epoch: the folds were trained one by one"
        )

    running = [item.fit.epochs() for item in fits]
    epoch, answer = _report_again(fits, reporter)

    while running and answer is Answer.CONTINUE:
        still_running = []
        reached = []
        for epochs in running:
            epoch_of_fold = next(epochs, None)
            if epoch_of_fold is not None:  # else this fold has ended
                still_running.append(epochs)
                reached.append(epoch_of_fold)
        running = still_running

        # No pruner is asked about a mean that is not finite.
        if any(item.judge.diverged for item in fits):
            break

        if running:
            epoch = max(reached)
            answer = reporter.mean_of(fits, epoch)
            _keep_together(fits, epoch, at_once=answer is Answer.STOP)

    # Until a fit is closed, its weights are the compiled step's and those of the model are old.
    for epochs in running:
        epochs.close()

    for item in fits:
        item.judge.answer = answer
        if answer is Answer.PRUNE:
            item.pruned_at = epoch
    reporter.check(answer)


def _report_again(fits: list[FoldFit], reporter: EpochReporter) -> tuple[int, Answer]:
    """Report the epochs of an earlier attempt; return the last epoch and its answer."""
    epochs = sorted({int(row["epoch"]) for item in fits for row in item.judge.curve})

    for epoch in epochs:
        answer = reporter.mean_of(fits, epoch)
        if answer is not Answer.CONTINUE:
            return epoch, answer
    return (epochs[-1] if epochs else 0), Answer.CONTINUE


def _keep_together(fits: list[FoldFit], epoch: int, *, at_once: bool) -> None:
    """Keep all folds after the same epoch, at once or where it is time to.

    An attempt that takes them up needs all of one epoch: their mean goes on from there.
    """
    keepers = [item.keeper for item in fits if item.keeper is not None and not item.fit.reason]
    if keepers and (at_once or keepers[0].due):
        for item in fits:
            if item.keeper is not None:
                item.keeper.keep(epoch)
