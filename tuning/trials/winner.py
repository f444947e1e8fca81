"""The honest winner: one evaluation on the test part, the baselines beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tuning.builders.inputs.own_objects import imports_of, module_objects, own_objects
from tuning.data.arrays import Arrays, leaves
from tuning.errors import TuningError
from tuning.ledger.model_file import changed, sha256_of
from tuning.ledger.records import read_record, write_record
from tuning.ledger.winner import Evaluation
from tuning.study.foreign.foreign_builder import trial_of
from tuning.trainer.forward import predict
from tuning.trial import Context
from tuning.trials.checkpoint import load_checkpoint
from tuning.trials.folds import FoldFit, prepare_fit
from tuning.trials.functions import function_winner
from tuning.trials.jobs import EvaluationJob
from tuning.trials.saved_model import inputs_of as inputs_of  # the README names it here
from tuning.trials.saved_model import save_and_read_back, weights_path
from tuning.trials.usage.meter import Stopwatch
from tuning.trials.verdict.answers import keep_outputs
from tuning.trials.verdict.decision import classes_of as classes_of  # beside `inputs_of`
from tuning.trials.verdict.decision import keep_threshold
from tuning.trials.verdict.example import keep_example
from tuning.trials.winner_scores import winner_scores
from tuning.trials.worker_study import FoldRows, WorkerStudy, load_worker_study

RELOAD_TOLERANCE = 1e-3
"""Most that predictions of the reloaded winner may differ: a share of the largest of them, or of 1
where that is more.
"""


def evaluate_winner(job: EvaluationJob, context: Context) -> Evaluation:
    """Score the winner once on the test part, save it for raw inputs, check the saved file.

    The baselines are fitted on the winner's rows and scored beside it.

    Raises:
        TuningError: The reloaded model predicts something else; or the winner diverged on all rows,
            with `--cv`.
    """
    stopwatch = Stopwatch(context.slot)
    # The test part is looked at once, also where the run was interrupted after it.
    earlier = read_record(Evaluation, job.file)
    kept = job.saved if job.saved.exists() else weights_path(job.saved)
    if earlier is not None and earlier.digest == job.digest and not changed(earlier, kept):
        return earlier

    loaded = load_worker_study(job.source, job.overrides, job.pinned)
    worker_study = loaded.for_params(job.params, job.data_digest)
    study = worker_study.study
    if study.trainer == "function":
        return _kept(function_winner(study, job), job, stopwatch)

    with trial_of(study.builder, job.number):
        item = _trained_winner(worker_study, job, worker_study.final())
    model = item.fit.model
    rows = item.rows

    X = rows.inputs(worker_study.parts.test.X)
    predicted = predict(model, X)
    own = own_objects(model)
    saved = save_and_read_back(
        model,
        rows.scaler,
        job.saved,
        worker_study.parts,
        objects={**module_objects(study.builder), **own},
        predicted=predicted,
    )
    _check_reloaded(saved.reload_error, predicted)

    scored = winner_scores(worker_study, rows, model, X=X, predicted=predicted)
    keep_threshold(job.saved, scored.threshold, worker_study.parts.classes)
    keep_outputs(job.saved, model, worker_study.parts, predicted)
    keep_example(job.saved, worker_study.parts, predicted)
    evaluation = replace(
        scored,
        model=str(saved.path),
        sha256=sha256_of(saved.path),
        parameters=int(model.count_params()),
        reload_error=saved.reload_error,
        file_fault=saved.fault,
        prepared=rows.words,
        imports=imports_of(own),
        digest=job.digest,
    )
    return _kept(evaluation, job, stopwatch)


def _kept(evaluation: Evaluation, job: EvaluationJob, stopwatch: Stopwatch) -> Evaluation:
    """Write an evaluation, with what it has used."""
    usage = stopwatch.usage
    evaluation = replace(evaluation, cpu_s=usage.cpu_s, gpu_s=usage.gpu_s)
    write_record(job.file, evaluation)
    return evaluation


def _trained_winner(worker_study: WorkerStudy, job: EvaluationJob, rows: FoldRows) -> FoldFit:
    """Return the winner's fit: built again by the builder, with the weights that were kept."""
    point = worker_study.study.split_params(job.params)
    item = prepare_fit(
        worker_study,
        point,
        rows,
        epochs=job.epochs,
        seed=job.seed,
        folder=job.file.parent / "callbacks-winner",
    )
    if job.weights is not None:
        try:
            load_checkpoint(job.weights, item.fit.model, job.weights_of)
            return item
        except (ValueError, FileNotFoundError) as error:  # damaged: trained again, on its seed
            print(f"{job.weights} is not used: {error}")  # into the worker's log

    item.train()
    if item.judge.diverged:
        raise TuningError(
            "the winner diverged when it was trained on all rows; "
            "lower the learning rates of the space"
        )
    return item


def _check_reloaded(difference: float | None, predicted: Arrays) -> None:
    if difference is None:  # the file could not be loaded again, for a good reason
        return
    largest = max(float(np.max(np.abs(array))) for array in leaves(predicted))
    # Not `difference > …`: NaN must be refused too.
    if not difference <= RELOAD_TOLERANCE * max(1.0, largest):
        raise TuningError(
            "the saved winner predicts something else than the trained one: "
            f"they differ by {difference}"
        )
