"""What is trained for a proposal: its folds, each continued or taken up where that is possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tuning.errors import TrialError, first_line
from tuning.ledger.digests import stored_digest
from tuning.trial import Answer, FoldResult, TrialResult
from tuning.trials.advance import EpochReporter, advance, advance_together
from tuning.trials.checkpoint import LastWeights, kept_at, load_checkpoint, save_checkpoint
from tuning.trials.earlier_attempts import (
    callbacks_folder,
    checkpoint_path,
    folds_of_earlier_attempts,
    keep_fold,
    newest_checkpoint,
    reasons_not_kept,
)
from tuning.trials.folds import FoldFit, prepare_fit, summarise
from tuning.trials.held_out_score import score_test_part
from tuning.trials.jobs import TrialJob
from tuning.trials.replicas import replica_warning
from tuning.trials.training import Training


@dataclass(frozen=True)
class _TrainedFolds:
    """The fits of this attempt, and the results of all: those of earlier attempts included."""

    fits: list[FoldFit]
    results: list[FoldResult]


def train_folds(training: Training) -> TrialResult:
    """Train the fits of a proposal; return the result of a trial that goes well."""
    job = training.job
    train = _train_together if job.lockstep else _train_one_by_one
    trained = train(training)

    if job.score_test:
        score_test_part(job.folder, training.worker_study, trained.fits)
    if job.keep_end:
        for item in trained.fits:
            _keep_end(item, job)
    result = summarise(job.proposal, trained.results, trained.fits)
    warning = replica_warning(training)
    return replace(result, notices=(*result.notices, warning)) if warning else result


def _train_together(training: Training) -> _TrainedFolds:
    """Train all folds in lock-step."""
    reporter = EpochReporter(training)
    folds = range(training.worker_study.n_fits)
    fits = [_prepare_fold(training, fold, reporter) for fold in folds]
    _take_up_together(fits, training.job)
    advance_together(fits, reporter)
    results = [item.result(training.worker_study, training.seed_of(item.fold)) for item in fits]
    return _TrainedFolds(fits, results)


def _train_one_by_one(training: Training) -> _TrainedFolds:
    """Train the folds that no earlier attempt has finished, each to its end."""
    job = training.job
    n_fits = training.worker_study.n_fits
    results = folds_of_earlier_attempts(job.folder, job.proposal.digest)
    finished = {result.fold for result in results}
    reporter = EpochReporter(training)

    fits: list[FoldFit] = []
    for fold in range(n_fits):
        if fold in finished:
            continue
        item = _prepare_fold(training, fold, reporter)
        fits.append(item)
        _take_up(item, job.folder)
        advance(item, reporter)

        result = item.result(training.worker_study, training.seed_of(fold))
        results.append(result)
        if item.judge.diverged or item.judge.answer is not Answer.CONTINUE:
            break
        if n_fits > 1:  # the result of an only fit is the trial's own
            keep_fold(job, result)
    return _TrainedFolds(fits, results)


def _prepare_fold(training: Training, fold: int, reporter: EpochReporter) -> FoldFit:
    """Build the model of one fit, continue its parent where it has one, set up what watches it."""
    job = training.job
    item = prepare_fit(
        training.worker_study,
        training.point,
        training.worker_study.rows_of_fit(fold),
        epochs=job.proposal.epochs,
        seed=training.seed_of(fold),
        folder=callbacks_folder(job, fold),
        # In lock-step it is the mean over folds that is reported.
        on_epoch=None if job.lockstep else reporter.one_fold,
    )
    item.fold = fold

    if job.parent is not None:
        _continue_parent(item, job, job.parent)
    if item.fit.initial_epoch >= item.fit.epochs_total:
        raise TrialError(
            f"trial {job.proposal.parent} was trained for {item.fit.initial_epoch} epochs: "
            "none is left"
        )

    path = checkpoint_path(job, fold)
    item.keep_in(path, alone=not job.lockstep, digest=job.proposal.digest)
    if item.keeper is None:
        return item
    if job.keep_end and LastWeights.are_averaged(item.fit.model):
        item.last_weights = LastWeights(item.fit)
        item.fit.callbacks = item.last_weights.beside(item.fit.callbacks)
    return item


def _keep_end(item: FoldFit, job: TrialJob) -> None:
    has_best_weights = item.stopper is not None and item.stopper.best_weights is not None
    if item.last_weights is not None and not has_best_weights:
        item.last_weights.put_back()
    end = _end_path(job.folder, item.fold)
    owner = _end_owner(job.proposal.digest, item.fold)
    save_checkpoint(end, item.fit.model, item.last_epoch, owner)


def _end_path(folder: Path, fold: int) -> Path:
    """Return where the end of a fit is kept for the trials that continue it."""
    return folder / f"end-{fold}.npz"


def _end_owner(digest: str, fold: int) -> str:
    """Return what a fit's end says it is of; "" where the trial's ask has no digest."""
    return f"{digest} fold {fold}" if digest else ""


def _continue_parent(item: FoldFit, job: TrialJob, folder: Path) -> None:
    parent = job.proposal.parent
    end = _end_path(folder, item.fold)
    if not end.exists():
        item.fit.notes.append(f"the checkpoint of trial {parent} is gone: trained from epoch 0")
        return
    try:
        owner = _end_owner(stored_digest(folder), item.fold)
        item.fit.initial_epoch = load_checkpoint(end, item.fit.model, owner)
    except ValueError as error:
        item.fit.notes.append(
            f"the checkpoint of trial {parent} was not used, trained from epoch 0: "
            f"{first_line(error)}"
        )


def _take_up(item: FoldFit, folder: Path) -> None:
    """Go on where an earlier attempt at this trial was interrupted, if it has kept something."""
    checkpoint = newest_checkpoint(folder, item.fold)
    if checkpoint is None:
        for reason in reasons_not_kept(folder, item.fold):
            item.fit.notes.append(f"begun anew after an interruption: {reason}")
        return
    item.take_up(checkpoint, checkpoint.parent.name)


def _take_up_together(fits: list[FoldFit], job: TrialJob) -> None:
    """Do the same for folds in lock-step: only where all were kept after the same epoch."""
    epochs = set()
    for item in fits:
        checkpoint = newest_checkpoint(job.folder, item.fold)
        if checkpoint is None:
            return
        try:
            epochs.add(kept_at(checkpoint, job.proposal.digest))
        except ValueError as error:
            item.fit.notes.append(f"begun anew after an interruption: {first_line(error)}")
            return
    if len(epochs) > 1:  # killed between two files: there is no mean to go on from
        return

    for item in fits:
        _take_up(item, job.folder)
        # In lock-step a fold that has stopped early waits for the others, without more epochs.
        if item.keeper is not None and item.keeper.ended:
            item.fit.epochs_total = item.fit.initial_epoch
