"""One proposal in, one result out."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trials.small_study import ScriptedContext, job, logits, net, rows, study
from tuning import Maximize, Minimize
from tuning.builders.fold_rows import FoldRows
from tuning.errors import MissingError, StorageError, StudyError
from tuning.ledger.digests import ask_digest
from tuning.ledger.results import read_result
from tuning.storage.durable import write_json
from tuning.trainer import compiled
from tuning.trainer import train as trainer
from tuning.trial import WARNING, Answer, Status
from tuning.trials import checkpoint
from tuning.trials import trial as trials
from tuning.trials.jobs import Stopped
from tuning.trials.trial import run_trial
from tuning.trials.worker_study import load_worker_study


def comparable(result):
    """What is equal between two trainings of one trial: all but times, places and notices."""
    plain = result.to_json()
    for name in (
        "seconds",
        "training_s",
        "started_at",
        "ended_at",
        "rss_mb",
        "slot",
        "attempt",
        "notices",
    ):
        del plain[name]
    for name in ("cpu_s", "gpu_s", "samples"):
        plain.pop(name, None)
    for fold in plain["folds"]:
        del fold["seconds"]
    return plain


def test_a_trial_reports_each_epoch_and_keeps_its_result(tmp_path):
    context = ScriptedContext()
    result = run_trial(job(tmp_path, study()), context)
    assert result.status is Status.COMPLETED
    assert [report.epoch for report in context.reports] == [1, 2, 3, 4]
    assert result.value == context.reports[-1].value == result.metrics["val_rmse"]
    assert json.loads((tmp_path / "result.json").read_text())["value"] == result.value
    assert result.notices == ()


def test_the_objective_is_computed_from_the_validation_part_in_its_unit(tmp_path):
    result = run_trial(job(tmp_path, study(objective=Minimize("val_rmse"))), ScriptedContext())
    # The loss is the mean square of the same errors.
    last = result.folds[0].curve[-1]
    assert result.value == pytest.approx(last["val_loss"] ** 0.5, rel=1e-5)


def test_equal_proposals_give_equal_results_whatever_ran_before(tmp_path):
    dropout = study(fixed={"dropout": 0.3, "width": 5})
    first = run_trial(job(tmp_path / "a", dropout), ScriptedContext())
    run_trial(job(tmp_path / "b", dropout, params={"lr": 0.2, "batch_size": 8}), ScriptedContext())
    run_trial(job(tmp_path / "c", study()), ScriptedContext())
    again = run_trial(job(tmp_path / "d", dropout), ScriptedContext())
    assert comparable(again) == comparable(first)

    compiled.forget_all()
    compiled_anew = run_trial(job(tmp_path / "e", dropout), ScriptedContext())
    assert comparable(compiled_anew) == comparable(first)


def test_equal_proposals_are_equal_with_xla_too(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "XLA_MIN_STEPS", 0)
    dropout = study(fixed={"dropout": 0.3})
    first = run_trial(job(tmp_path / "a", dropout), ScriptedContext())
    run_trial(job(tmp_path / "b", dropout, params={"lr": 0.2}), ScriptedContext())
    again = run_trial(job(tmp_path / "c", dropout), ScriptedContext())
    assert comparable(again) == comparable(first)


def test_a_finished_trial_is_not_trained_again_and_its_file_not_rewritten(tmp_path):
    file = tmp_path / "result.json"
    result = run_trial(job(tmp_path, study()), ScriptedContext())
    inode = file.stat().st_ino
    content = file.read_bytes()

    context = ScriptedContext()
    again = run_trial(job(tmp_path, study(), attempt=2), context)
    assert (again.value, again.attempt, context.reports) == (result.value, 1, [])
    assert file.stat().st_ino == inode
    assert file.read_bytes() == content


def test_a_learning_rate_that_explodes_makes_a_diverged_trial(tmp_path):
    result = run_trial(job(tmp_path, study(epochs=30), params={"lr": 1e30}), ScriptedContext())
    assert (result.status, result.value, result.metrics) == (Status.DIVERGED, None, {})
    assert result.error == "loss or objective is not finite"
    assert result.epochs < 30


def test_a_pruned_trial_ends_at_its_epoch_with_the_last_value(tmp_path):
    result = run_trial(job(tmp_path, study(patience=3)), ScriptedContext(Answer.PRUNE, at=1))
    assert (result.status, result.epochs) == (Status.PRUNED, 2)
    assert result.value == result.folds[0].curve[-1]["val_rmse"]


def test_a_trial_that_is_stopped_stays_open(tmp_path):
    with pytest.raises(Stopped):
        run_trial(job(tmp_path, study()), ScriptedContext(Answer.STOP, at=1))
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("ended_by", ["the last epoch", "early stopping"])
def test_a_trial_that_ends_with_the_epoch_it_is_stopped_at_has_ended(tmp_path, ended_by):
    changes = {"epochs": 40, "patience": 2} if ended_by == "early stopping" else {}
    task = job(tmp_path / "a", study(**changes), params={"lr": 0.3})
    context = ScriptedContext()
    undisturbed = run_trial(task, context)
    assert undisturbed.epochs < 40

    stop = ScriptedContext(Answer.STOP, at=len(context.reports) - 1)
    result = run_trial(replace(task, folder=tmp_path / "b"), stop)
    assert comparable(result) == comparable(undisturbed)


def test_early_stopping_keeps_the_best_epoch(tmp_path):
    result = run_trial(
        job(tmp_path, study(epochs=40, patience=2), params={"lr": 0.3}), ScriptedContext()
    )
    fold = result.folds[0]
    best = min(fold.curve, key=lambda row: row["val_rmse"])
    assert (fold.best_epoch, result.value) == (best["epoch"], best["val_rmse"])


def broken(lr=0.1):
    raise RuntimeError(f"cannot build for lr={lr}\nmore")


def test_an_error_in_the_builder_fails_the_trial_alone(tmp_path, capsys):
    result = run_trial(job(tmp_path, study(builder=broken)), ScriptedContext())
    assert result.status is Status.FAILED
    assert result.error == "RuntimeError: cannot build for lr=0.05"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        tf.errors.ResourceExhaustedError(None, None, "/tmp/xla/1.bin; No space left on device"),
    ],
)
def test_a_full_disk_ends_the_run_and_leaves_the_trial_open(error, tmp_path, monkeypatch):
    def full(lr=0.1):
        raise error

    monkeypatch.setattr("tuning.storage.full_disk.is_full", lambda folder: True)

    with pytest.raises(StorageError, match=r"trial 0: .*No space left on device"):
        run_trial(job(tmp_path, study(builder=full)), ScriptedContext())
    assert read_result(job(tmp_path, study(builder=full)).folder) is None


def test_the_words_of_a_full_disk_fail_their_trial_alone_where_there_is_space(tmp_path):
    def full(lr=0.1):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/file/of/the/users")

    result = run_trial(job(tmp_path, study(builder=full)), ScriptedContext())
    assert result.status is Status.FAILED
    assert "No space left on device" in result.error


def test_a_builder_that_returns_one_model_again_and_again_is_refused(tmp_path):
    models = []

    def same(lr=0.1):
        if not models:
            models.append(net())
        return models[0]

    result = run_trial(job(tmp_path, study(builder=same, cv=2)), ScriptedContext())
    assert result.status is Status.FAILED
    assert result.error.endswith(
        "same returned the same model object again; make a new model at each call"
    )


def test_an_objective_that_no_metric_is_called_fails_in_words(tmp_path):
    result = run_trial(job(tmp_path, study(objective=Maximize("val_precision"))), ScriptedContext())
    message = "no metric of the model is called 'val_precision'; there are: val_loss"
    assert result.error == f"StudyError: {message}"


def test_an_objective_that_does_not_fit_the_data_ends_the_run(tmp_path):
    with pytest.raises(StudyError, match="objective 'val_auc' does not fit regression data"):
        run_trial(job(tmp_path, study(objective=Maximize("val_auc"))), ScriptedContext())


def test_memory_that_runs_out_is_tried_again_at_half_the_batch(tmp_path, monkeypatch):
    batch_sizes = greedy(monkeypatch, limit=16)
    context = ScriptedContext()
    result = run_trial(job(tmp_path, study(), params={"batch_size": 32}), context)
    assert batch_sizes == [32, 16]
    assert (result.status, context.retired) == (Status.COMPLETED, True)
    assert result.notices == ("batch_size halved to 16 after running out of memory",)
    assert result.batch_size == 16


def test_a_trial_at_half_the_batch_takes_no_fold_of_the_whole_batch_over_nor_begins_with_it_again(
    tmp_path, monkeypatch
):
    defined = study(cv=2)
    whole = run_trial(job(tmp_path / "whole", defined, params={"batch_size": 8}), ScriptedContext())
    # Stopped in the second fold: the first is finished, with batches of 16.
    with pytest.raises(Stopped):
        run_trial(job(tmp_path / "cut", defined), ScriptedContext(Answer.STOP, at=5))

    batch_sizes = greedy(monkeypatch, limit=8)
    with pytest.raises(Stopped):
        run_trial(job(tmp_path / "cut", defined, attempt=2), ScriptedContext(Answer.STOP, at=4))
    result = run_trial(job(tmp_path / "cut", defined, attempt=3), ScriptedContext())
    assert batch_sizes == [16, 8, 8, 8]
    assert comparable(result)["value"] == comparable(whole)["value"]


def test_memory_that_runs_out_twice_makes_the_trial_infeasible(tmp_path, monkeypatch):
    batch_sizes = greedy(monkeypatch, limit=1)
    result = run_trial(job(tmp_path, study()), ScriptedContext())
    assert batch_sizes == [16, 8]
    assert (result.status, result.value) == (Status.INFEASIBLE, None)
    assert result.error == "out of memory: OOM when allocating"


def greedy(monkeypatch, limit):
    """Let steps of more than `limit` rows run out of memory; return the batch sizes tried."""
    batch_sizes = []
    real = trainer.steps_for

    def steps_for(model, arrays, batch_size):
        batch_sizes.append(batch_size)
        if batch_size > limit:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
        return real(model, arrays, batch_size)

    monkeypatch.setattr("tuning.trainer.train.steps_for", steps_for)
    return batch_sizes


def test_out_of_memory_is_known_by_what_xla_says_too():
    assert trials.out_of_memory(
        tf.errors.InternalError(None, None, "RESOURCE_EXHAUSTED: Out of memory allocating")
    )
    assert trials.out_of_memory(MemoryError())
    assert not trials.out_of_memory(tf.errors.InternalError(None, None, "something else"))
    assert not trials.out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("patience", [None, 2])
def test_folds_in_lock_step_equal_folds_one_after_another(patience, tmp_path):
    defined = study(cv=3, patience=patience, epochs=5, fixed={"dropout": 0.2})
    one_by_one = run_trial(job(tmp_path / "a", defined), ScriptedContext())
    context = ScriptedContext()
    together = run_trial(job(tmp_path / "b", defined, lockstep=True), context)
    assert comparable(together) == comparable(one_by_one)
    epochs = [report.epoch for report in context.reports]
    assert epochs == list(range(1, max(epochs) + 1))
    if patience is None:
        means = [
            np.mean([fold.curve[e - 1]["val_rmse"] for fold in together.folds]) for e in epochs
        ]
        assert [report.value for report in context.reports] == pytest.approx(means)


def test_folds_in_lock_step_are_pruned_together(tmp_path):
    result = run_trial(
        job(tmp_path, study(cv=2), lockstep=True), ScriptedContext(Answer.PRUNE, at=1)
    )
    assert result.status is Status.PRUNED
    assert [len(fold.curve) for fold in result.folds] == [2, 2]


def test_model_fit_in_lock_step_says_that_folds_were_trained_one_by_one(tmp_path):
    result = run_trial(
        job(tmp_path, study(cv=2, epochs=1, trainer="fit"), lockstep=True), ScriptedContext()
    )
    assert result.status is Status.COMPLETED
    assert result.notices == (
        "model.fit cannot be advanced epoch by epoch: the folds were trained one by one",
    )


@pytest.mark.parametrize("patience", [None, 9])
def test_model_fit_in_lock_step_is_pruned_with_the_value_of_the_epoch_that_was_reported(
    tmp_path, patience
):
    context = ScriptedContext(Answer.PRUNE, at=1)
    defined = study(cv=2, trainer="fit", patience=patience)
    result = run_trial(job(tmp_path, defined, lockstep=True), context)
    assert (result.status, result.value) == (Status.PRUNED, context.reports[-1].value)
    assert [(fold.best_epoch, len(fold.curve)) for fold in result.folds] == [(2, 4), (2, 4)]


@pytest.mark.parametrize("changes", [{"trainer": "fit"}, {"patience": 1}])
def test_a_result_keeps_what_was_reported_to_its_pruner(tmp_path, changes):
    """A resumed search reports it again: trained beyond the prune, or with a fold that has
    stopped, the curve differs.
    """
    context = ScriptedContext(Answer.PRUNE, at=2)
    result = run_trial(job(tmp_path, study(cv=2, pruner="asha", **changes), lockstep=True), context)
    assert result.reported == tuple((report.epoch, report.value) for report in context.reports)
    assert read_result(tmp_path).reports_of("val_rmse") == result.reported
    assert len(result.reported) == 3


def test_a_trial_that_fails_late_has_trained_all_the_same(tmp_path):
    class Broken(ScriptedContext):
        def report(self, report):
            super().report(report)
            if report.epoch == 3:
                raise ValueError("broken")
            return Answer.CONTINUE

    result = run_trial(job(tmp_path, study()), Broken())
    assert (result.status, result.epochs) == (Status.FAILED, 3)


def test_a_pruned_fold_ends_its_trial(tmp_path):
    context = ScriptedContext(Answer.PRUNE, at=1)
    result = run_trial(job(tmp_path, study(cv=3)), context)
    assert (result.status, len(result.folds), len(context.reports)) == (Status.PRUNED, 1, 2)


def test_finished_folds_of_an_earlier_attempt_are_taken_over(tmp_path):
    defined = study(cv=3)
    whole = run_trial(job(tmp_path / "whole", defined), ScriptedContext())
    # Stopped in the second epoch of the second fold.
    with pytest.raises(Stopped):
        run_trial(job(tmp_path / "cut", defined), ScriptedContext(Answer.STOP, at=5))
    # Without its checkpoint, that fold is trained from its beginning.
    for path in (tmp_path / "cut").glob("attempt-1/*.npz"):
        path.unlink()

    context = ScriptedContext()
    again = run_trial(job(tmp_path / "cut", defined, attempt=2), context)
    assert comparable(again) == comparable(whole)
    assert len(context.reports) == 8


def test_a_diverged_fold_is_not_taken_over_as_finished(tmp_path):
    run_trial(job(tmp_path, study(cv=2, epochs=30), params={"lr": 1e30}), ScriptedContext())
    assert list(tmp_path.glob("attempt-*/fold-*.json")) == []


@pytest.mark.parametrize("lockstep", [False, True], ids=["one by one", "lock-step"])
@pytest.mark.parametrize("patience", [None, 3])
def test_an_interrupted_trial_goes_on_bit_for_bit(lockstep, patience, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "KEEP_EVERY_S", 1e-9)
    defined = study(epochs=7, patience=patience, cv=2 if lockstep else None, fixed={"dropout": 0.2})
    whole = run_trial(job(tmp_path / "whole", defined, lockstep=lockstep), ScriptedContext())

    class Killed(BaseException):
        pass

    class Dies(ScriptedContext):
        def report(self, report):
            if report.epoch == 5:
                raise Killed
            return super().report(report)

    with pytest.raises(Killed):
        run_trial(job(tmp_path / "cut", defined, lockstep=lockstep), Dies())

    context = ScriptedContext()
    again = run_trial(job(tmp_path / "cut", defined, lockstep=lockstep, attempt=2), context)
    assert comparable(again) == comparable(whole)
    assert again.notices == ("taken up at epoch 4",)
    assert [report.epoch for report in context.reports] == [row["epoch"] for row in whole.curve]
    assert list((tmp_path / "cut").rglob("*.npz")) == []


def test_a_trial_stopped_by_the_driver_goes_on_from_its_last_epoch(tmp_path):
    whole = run_trial(job(tmp_path / "whole", study()), ScriptedContext())
    with pytest.raises(Stopped):
        run_trial(job(tmp_path / "cut", study()), ScriptedContext(Answer.STOP, at=2))
    again = run_trial(job(tmp_path / "cut", study(), attempt=2), ScriptedContext())
    assert comparable(again) == comparable(whole)
    assert again.notices == ("taken up at epoch 3",)


def test_a_checkpoint_of_another_batch_size_is_not_used(tmp_path):
    with pytest.raises(Stopped):
        run_trial(job(tmp_path, study()), ScriptedContext(Answer.STOP, at=2))
    result = run_trial(
        job(tmp_path, study(), params={"batch_size": 8}, attempt=2), ScriptedContext()
    )
    assert result.notices == (
        "the checkpoint of attempt-1 was not used: it was trained with batches of 16 rows",
    )
    assert result.epochs == 4


def test_a_continued_trial_equals_one_long_trial(tmp_path):
    defined = study(epochs=5, cv=2, fixed={"dropout": 0.2})
    long = run_trial(job(tmp_path / "long", defined), ScriptedContext())

    run_trial(job(tmp_path / "0", defined, epochs=2, keep_end=True), ScriptedContext())
    child = run_trial(
        job(tmp_path / "1", defined, number=1, of=0, parent=tmp_path / "0"), ScriptedContext()
    )
    assert child.value == long.value
    assert child.epochs == 6
    for fold, whole in zip(child.folds, long.folds, strict=True):
        assert fold.curve == whole.curve[2:]


def averaged(lr: float = 0.05, input_shape: tuple[int, ...] = (3,)) -> keras.Model:
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr, use_ema=True, ema_momentum=0.9), "mse")
    return model


def averaged_in_half_precision(lr: float = 0.05, input_shape: tuple[int, ...] = (3,)):
    layer = keras.layers.Dense(1, dtype="mixed_float16")  # Keras wraps the optimizer
    model = keras.Sequential([keras.Input(input_shape), layer])
    model.compile(keras.optimizers.SGD(lr, use_ema=True, ema_momentum=0.9), "mse")
    return model


def swapping():
    return [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]


@pytest.mark.parametrize(
    ("builder", "changes"),
    [
        (averaged, {}),
        (averaged, {"callbacks": swapping}),
        (averaged_in_half_precision, {}),
    ],
)
def test_a_continued_trial_begins_with_the_weights_and_not_with_their_average(
    builder, changes, tmp_path
):
    defined = study(builder=builder, epochs=4, **changes)
    long = run_trial(job(tmp_path / "long", defined), ScriptedContext())
    run_trial(job(tmp_path / "0", defined, epochs=2, keep_end=True), ScriptedContext())
    child = run_trial(
        job(tmp_path / "1", defined, number=1, of=0, parent=tmp_path / "0"), ScriptedContext()
    )
    assert child.folds[0].curve == long.folds[0].curve[2:]


def test_a_continued_trial_whose_parent_is_gone_says_so(tmp_path):
    result = run_trial(
        job(tmp_path / "1", study(), number=1, of=0, parent=tmp_path / "0"), ScriptedContext()
    )
    assert result.notices == ("the checkpoint of trial 0 is gone: trained from epoch 0",)
    assert result.epochs == 4


def with_ask(task):
    """Return a job whose ask lies in its folder, as a search leaves it."""
    stored = task.proposal.to_json()
    write_json(task.folder / "spec.json", stored)
    return replace(task, proposal=replace(task.proposal, digest=ask_digest(stored)))


def test_a_trial_does_not_go_on_from_the_end_of_another_trial_or_fold(tmp_path):
    defined = study(epochs=2, cv=2)
    parent, other, child = (tmp_path / name for name in ("0", "1", "2"))
    run_trial(with_ask(job(parent, defined, epochs=1, keep_end=True)), ScriptedContext())
    params = {"batch_size": 32}
    unlike = job(other, defined, number=1, epochs=1, keep_end=True, params=params)
    run_trial(with_ask(unlike), ScriptedContext())

    shutil.copy(parent / "end-0.npz", parent / "end-1.npz")
    shutil.copy(other / "end-0.npz", parent / "end-0.npz")
    task = with_ask(job(child, defined, number=2, of=0, parent=parent))
    result = run_trial(task, ScriptedContext())
    assert result.notices == (
        "the checkpoint of trial 0 was not used, trained from epoch 0: "
        "it is of other parameters, another fold or another seed",
    )
    assert [len(fold.curve) for fold in result.folds] == [2, 2]


def test_a_checkpoint_is_not_taken_up_by_another_fold(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "KEEP_EVERY_S", 1e-9)
    defined = study(cv=2)
    task = with_ask(job(tmp_path, defined))
    with pytest.raises(Stopped):
        run_trial(task, ScriptedContext(Answer.STOP, at=1))
    first = tmp_path / "attempt-1" / "fold-0.npz"
    first.rename(first.with_name("fold-1.npz"))
    result = run_trial(replace(task, attempt=2), ScriptedContext())
    assert result.notices == ("the checkpoint of attempt-1 was not used: it is of another fold",)


@pytest.mark.parametrize(
    ("left", "has_run_out"),
    [(None, False), ({"batch_size": 8}, True), ("half", True), ("own", True), ("other", False)],
)
def test_memory_that_ran_out_counts_for_its_own_trial_alone(tmp_path, left, has_run_out):
    halved = tmp_path / "halved.json"
    if left == "half":
        halved.write_text('{"batch')
    elif left is not None:
        write_json(halved, left if isinstance(left, dict) else {"proposal_digest": left})
    assert trials._has_run_out_before(halved, "own") is has_run_out


def test_a_continued_trial_without_epochs_left_fails_in_words(tmp_path):
    run_trial(job(tmp_path / "0", study(), keep_end=True), ScriptedContext())
    result = run_trial(
        job(tmp_path / "1", study(), number=1, of=0, parent=tmp_path / "0"), ScriptedContext()
    )
    assert result.error == "TrialError: trial 0 was trained for 4 epochs: none is left"


def test_early_stopping_never_sees_the_scoring_fold(tmp_path, monkeypatch):
    defined = study(cv=2, patience=2, epochs=6)
    source = job(tmp_path, defined).source
    clean = run_trial(job(tmp_path / "clean", defined), ScriptedContext())
    worker_study = load_worker_study(source, {})
    real = type(worker_study).fold

    def poisoned(self, fold):
        clean_rows = real(self, fold)
        cut = clean_rows.cut()
        noise = np.random.default_rng(0).normal(size=cut.scoring.y.shape).astype("float32")
        poisoned_cut = cut._replace(scoring=replace(cut.scoring, y=noise))
        return FoldRows(lambda: poisoned_cut, self.parts, clean_rows.plan)

    monkeypatch.setattr(type(worker_study), "fold", poisoned)
    result = run_trial(job(tmp_path / "poisoned", defined), ScriptedContext())
    assert result.value != clean.value
    for a, b in zip(result.folds, clean.folds, strict=True):
        assert a.best_epoch == b.best_epoch
        assert [row["inner_rmse"] for row in a.curve] == [row["inner_rmse"] for row in b.curve]


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
def test_logits_are_judged_as_probabilities(task, classes, tmp_path):
    def data():
        return rows(task, classes=classes)

    defined = study(builder=logits, data=data, objective=Maximize("val_accuracy"), epochs=30)
    result = run_trial(job(tmp_path, defined, params={"lr": 0.5}), ScriptedContext())
    assert result.value > 0.7
    auc = study(builder=logits, data=data, objective=Maximize("val_auc"), epochs=30)
    assert run_trial(job(tmp_path / "auc", auc, params={"lr": 0.5}), ScriptedContext()).value > 0.8


def test_a_strategy_without_its_devices_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.delenv("TUNING_DEVICES", raising=False)
    with pytest.raises(MissingError, match=r"^gpus_per_trial=2, but TensorFlow sees 1 device"):
        run_trial(job(tmp_path, study(gpus_per_trial=2)), ScriptedContext())


_TWO_DEVICES = """
import sys
from pathlib import Path
from tests.trials.small_study import ScriptedContext, job, study
from tuning.trials.trial import run_trial
from tuning.trials.jobs import FinalistJob
from tuning.trials.finalist import train_finalist
import json
import numpy as np
folder = Path(sys.argv[1])
defined = study(gpus_per_trial=2, epochs=2)
task = job(folder, defined, keep_end=True)
result = run_trial(task, ScriptedContext())
child = job(folder / "child", defined, number=1, epochs=3, of=0, parent=folder)
again = run_trial(child, ScriptedContext())
final = FinalistJob(
    source=task.source, overrides={}, number=0, params={"lr": 0.05}, epochs=2, index=0,
    file=folder / "final.json",
)
outcome = train_finalist(final, ScriptedContext())
weights = np.load(folder / outcome.weights)
print(again.error, file=sys.stderr)
print(json.dumps([
    result.status, result.notices, result.value, again.epochs, again.status, outcome.value,
    len(weights.files) > 4,
]))
"""


@pytest.mark.slow  # 35 s: a process of its own that sees two devices
def test_two_devices_train_one_trial_under_a_mirrored_strategy(tmp_path):
    environment = {**os.environ, "TUNING_DEVICES": "GPU-a,GPU-b", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _TWO_DEVICES, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status, notes, value, epochs, child, final, weights = json.loads(done.stdout.splitlines()[-1])
    assert (status, epochs, child, weights) == ("completed", 1, "completed", True), done.stderr
    assert notes[:2] == [
        "trained by model.fit: the model was built under MirroredStrategy",
        "1 of 67 rows left out of each epoch, so that 2 GPUs get as many",
    ]
    assert [note.startswith(WARNING) for note in notes[2:]] in ([], [True])  # by the box' times
    assert np.isfinite([value, final]).all()
