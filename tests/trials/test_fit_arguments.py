"""Epochs, patience, class weights, callbacks and repeats of a study, each trained for real."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.trials.small_study import ScriptedContext, job, logits, net, rows, study
from tuning import Choice, Float, Int, Maximize
from tuning.errors import StudyError
from tuning.ledger.results import read_result
from tuning.trainer.train import epoch_order
from tuning.trial import Answer, Status
from tuning.trials import checkpoint
from tuning.trials.jobs import Stopped
from tuning.trials.trial import run_trial
from tuning.trials.worker_study import load_worker_study


def trained(folder, defined, **settings):
    result = run_trial(job(folder, defined, **settings), ScriptedContext())
    assert result.status is Status.COMPLETED, result.error
    return result


def two_classes(n: int = 120):
    return rows("binary", n)


def plateau(factor: float = 0.5):
    return [
        keras.callbacks.ReduceLROnPlateau(
            "val_rmse", factor=factor, patience=1, min_delta=10.0, mode="min"
        )
    ]


class OneCycle(keras.callbacks.Callback):
    """The rate goes up for half of the steps and down again, from batch to batch."""

    def __init__(self, most: float, steps: int) -> None:
        super().__init__()
        self.most = most
        self.steps = steps
        self.step = 0
        self.rates: list[float] = []

    def on_train_begin(self, logs=None):
        self.model.optimizer.learning_rate = self.most / 10

    def on_train_batch_begin(self, batch, logs=None):
        share = 1 - abs(2 * self.step / self.steps - 1)
        self.model.optimizer.learning_rate = self.most * (0.1 + 0.9 * share)
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.step += 1


def one_cycle(lr: float, steps_per_epoch: int, epochs: int):
    return [OneCycle(lr, steps_per_epoch * epochs)]


def test_a_trial_trains_for_the_epochs_and_the_patience_of_its_point(tmp_path):
    space = {"epochs": Choice(2, 4), "patience": Choice(None, 1), "lr": Float(1e-4, 1.0)}
    defined = study(space=space)
    assert defined.epochs_of({"epochs": 2}) == 2
    patient = trained(tmp_path / "a", defined, params={"epochs": 4, "patience": None})
    # A rate so low that nothing gets better by chance is a rate so high that it does not either.
    hasty = trained(tmp_path / "b", defined, params={"epochs": 4, "patience": 1, "lr": 0.9})
    assert len(patient.curve) == 4
    assert len(hasty.curve) < 4
    assert hasty.folds[0].best_epoch < len(hasty.curve)


def weighted_like_fit(worker_study, class_weight):
    """The plain program: `fit` with class weights, epoch by epoch in the order of our trainer."""
    fold = worker_study.fold(0)
    keras.utils.set_random_seed(worker_study.study.seed)
    seed = job_seed(worker_study.study)
    keras.utils.set_random_seed(seed)
    model = logits(lr=0.05)
    for epoch in range(worker_study.study.epochs):
        order = epoch_order(len(fold.train.y), seed, epoch)
        model.fit(
            fold.train.X[order],
            fold.train.y[order],
            batch_size=16,
            shuffle=False,
            class_weight=class_weight,
            verbose=0,
        )
    return model.evaluate(fold.scoring.X, fold.scoring.y, verbose=0)


def job_seed(defined):
    from tuning.study.study import derive_seed

    return derive_seed(defined.seed, "training")


def lopsided():
    data = rows("binary", 120)
    keep = np.flatnonzero((data.y == 0) | (np.arange(120) % 4 == 0))
    return type(data)("line", data.X[keep], data.y[keep], "binary", classes=("no", "yes"))


def weights_study(**changes):
    settings = {
        "builder": logits,
        "data": lopsided,
        "objective": Maximize("val_auc"),
        "space": {"lr": Float(1e-4, 1.0), "class_weight": Choice(None, "balanced", {"yes": 9.0})},
    }
    return study(**{**settings, **changes})


def test_class_weights_train_as_fit_does_with_those_of_scikit_learn(tmp_path):
    from sklearn.utils.class_weight import compute_class_weight

    defined = weights_study(trainer="auto")
    result = trained(tmp_path / "a", defined, params={"class_weight": "balanced"})
    of_job = job(tmp_path / "b", defined)
    worker_study = load_worker_study(of_job.source, {})
    y = worker_study.fold(0).train.y
    plain = dict(enumerate(compute_class_weight("balanced", classes=np.unique(y), y=y)))
    assert result.metrics["val_loss"] == pytest.approx(
        weighted_like_fit(worker_study, plain), rel=1e-5
    )


def test_a_class_is_weighted_by_its_name_and_validation_is_not(tmp_path):
    defined = weights_study()
    result = trained(tmp_path / "a", defined, params={"class_weight": {"yes": 9.0}})
    worker_study = load_worker_study(job(tmp_path / "b", defined).source, {})
    assert result.metrics["val_loss"] == pytest.approx(
        weighted_like_fit(worker_study, {1: 9.0}), rel=1e-5
    )


def decaying(lr: float = 0.05, input_shape: tuple[int, ...] = (3,)) -> keras.Model:
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(4, "tanh")])
    model.add(keras.layers.Dense(1))
    schedule = keras.optimizers.schedules.ExponentialDecay(lr, decay_steps=5, decay_rate=0.8)
    model.compile(keras.optimizers.SGD(schedule, momentum=0.5), "mse")
    return model


def plain_program(defined, make_callbacks, fold, build=net):
    """`fit` with the same callbacks and `val_rmse` in the logs, in the order of our trainer."""
    seed = job_seed(defined)
    keras.utils.set_random_seed(seed)
    model = build(lr=0.05)

    class Rmse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            predicted = self.model.predict(fold.scoring.X, verbose=0)[:, 0]
            logs["val_rmse"] = float(np.sqrt(np.mean((predicted - fold.scoring.y) ** 2)))

    orders = [epoch_order(len(fold.train.y), seed, epoch) for epoch in range(defined.epochs)]
    batches = [order[start : start + 16] for order in orders for start in range(0, len(order), 16)]
    history = model.fit(
        ((fold.train.X[batch], fold.train.y[batch]) for batch in batches),
        epochs=defined.epochs,
        steps_per_epoch=len(batches) // defined.epochs,
        shuffle=False,
        callbacks=[Rmse(), *make_callbacks()],
        verbose=0,
    )
    return history.history["val_rmse"], float(model.optimizer.learning_rate)


def test_reduce_lr_on_plateau_watches_our_objective_and_agrees_with_fit(tmp_path):
    defined = study(callbacks=plateau, epochs=6)
    result = trained(tmp_path / "a", defined)
    fold = load_worker_study(job(tmp_path / "b", defined).source, {}).fold(0)
    expected, rate = plain_program(defined, plateau, fold)
    assert [row["val_rmse"] for row in result.curve] == pytest.approx(expected, rel=1e-4)
    assert rate < 0.05
    assert not any("model.fit" in notice for notice in result.notices)


def test_an_exponential_decay_goes_on_from_step_to_step_as_in_fit(tmp_path):
    defined = study(builder=decaying, epochs=5)
    result = trained(tmp_path / "a", defined)
    fold = load_worker_study(job(tmp_path / "b", defined).source, {}).fold(0)
    expected, rate = plain_program(defined, list, fold, decaying)
    assert [row["val_rmse"] for row in result.curve] == pytest.approx(expected, rel=1e-4)
    assert rate < 0.02
    assert not any("model.fit" in notice for notice in result.notices)


def test_a_one_cycle_callback_is_given_the_steps_and_agrees_with_fit(tmp_path):
    defined = study(callbacks=one_cycle, epochs=4)
    result = trained(tmp_path / "a", defined)
    assert any("acts on each batch" in notice for notice in result.notices)

    fold = load_worker_study(job(tmp_path / "b", defined).source, {}).fold(0)
    seed = job_seed(defined)
    keras.utils.set_random_seed(seed)
    model = net(lr=0.05)
    cycle = OneCycle(0.05, 4 * -(-len(fold.train.y) // 16))
    keras.utils.set_random_seed(seed)
    history = model.fit(
        fold.train.X, fold.train.y, batch_size=16, epochs=4, callbacks=[cycle], verbose=0
    )
    assert len(set(cycle.rates)) > 10
    losses = [row["loss"] for row in result.curve]
    assert losses == pytest.approx(history.history["loss"], rel=1e-5)


def test_callbacks_that_return_the_same_object_again_are_refused(tmp_path):
    kept = plateau()
    defined = study(callbacks=lambda: kept, cv=2)
    result = run_trial(job(tmp_path, defined), ScriptedContext())
    assert result.status is Status.FAILED
    assert "callbacks returned the same ReduceLROnPlateau object again" in result.error


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        (
            lambda: keras.callbacks.TerminateOnNaN(),
            "must return a list of keras.callbacks.Callback",
        ),
        (lambda: [keras.callbacks.CSVLogger("log.csv")], "CSVLogger writes to 'log.csv'"),
    ],
)
def test_what_is_no_list_or_writes_to_one_place_for_all_is_refused(tmp_path, callbacks, words):
    result = run_trial(job(tmp_path, study(callbacks=callbacks)), ScriptedContext())
    assert words in result.error


def test_callbacks_write_into_a_folder_of_the_fits_own(tmp_path):
    def callbacks(folder):
        return [keras.callbacks.ModelCheckpoint(folder / "best.weights.h5", save_weights_only=True)]

    trained(tmp_path, study(callbacks=callbacks, epochs=1))
    assert (tmp_path / "callbacks-0" / "best.weights.h5").exists()


def test_an_early_stopping_of_the_users_decides_on_the_weights_kept(tmp_path):
    def callbacks():
        return [
            keras.callbacks.EarlyStopping(
                "val_rmse", mode="min", min_delta=1e9, patience=2, restore_best_weights=True
            )
        ]

    result = trained(tmp_path, study(callbacks=callbacks, epochs=8))
    assert len(result.curve) == 3
    assert result.folds[0].best_epoch == 1
    assert result.value == result.curve[0]["val_rmse"]


def interrupted_and_taken_up(folder, defined, monkeypatch):
    monkeypatch.setattr(checkpoint, "KEEP_EVERY_S", 0.0)
    with pytest.raises(Stopped):
        run_trial(job(folder, defined), ScriptedContext(Answer.STOP, at=3))
    return run_trial(job(folder, defined, attempt=2), ScriptedContext())


def test_a_trial_that_is_taken_up_goes_on_with_what_its_callbacks_had_learnt(tmp_path, monkeypatch):
    defined = study(callbacks=plateau, epochs=7)
    whole = trained(tmp_path / "a", defined)
    again = interrupted_and_taken_up(tmp_path / "b", defined, monkeypatch)
    assert "taken up at epoch 4" in again.notices
    assert [row["val_rmse"] for row in again.curve] == [row["val_rmse"] for row in whole.curve]


def test_a_trial_whose_callbacks_cannot_be_kept_begins_anew_and_says_so(tmp_path, monkeypatch):
    def callbacks(folder):
        return [keras.callbacks.CSVLogger(folder / "log.csv")]

    defined = study(callbacks=callbacks, epochs=6)
    again = interrupted_and_taken_up(tmp_path, defined, monkeypatch)
    assert len(again.curve) == 6
    assert any(
        "begun anew after an interruption: what CSVLogger." in notice for notice in again.notices
    )
    assert not any("taken up" in notice for notice in again.notices)


def test_folds_in_lock_step_have_callbacks_of_their_own(tmp_path):
    defined = study(callbacks=plateau, cv=2, pruner="median")
    together = trained(tmp_path / "a", defined, lockstep=True)
    apart = trained(tmp_path / "b", defined)
    assert together.value == pytest.approx(apart.value, rel=1e-6)


def test_each_repeat_trains_on_a_seed_of_its_own_and_the_mean_is_told(tmp_path):
    defined = study(repeats=2, cv=2)
    result = trained(tmp_path / "a", defined)
    assert [fold.fold for fold in result.folds] == [0, 1, 2, 3]
    assert result.folds[0].seed == result.folds[1].seed != result.folds[2].seed
    assert result.value == pytest.approx(np.mean([fold.value for fold in result.folds]))
    first_repeat = trained(tmp_path / "b", study(cv=2))
    assert [fold.value for fold in first_repeat.folds] == [fold.value for fold in result.folds[:2]]


def test_a_repeat_that_had_ended_is_not_trained_again(tmp_path):
    defined = study(repeats=3, epochs=2)
    with pytest.raises(Stopped):
        run_trial(job(tmp_path, defined), ScriptedContext(Answer.STOP, at=4))
    context = ScriptedContext()
    result = run_trial(job(tmp_path, defined, attempt=2), context)
    assert len(result.folds) == 3
    assert len(context.reports) == 2  # of the third repeat alone
    assert read_result(tmp_path) == result


def test_a_stopping_that_never_began_restores_nothing_and_judges_nothing(tmp_path):
    def callbacks():
        late = keras.callbacks.EarlyStopping(
            "val_rmse", mode="min", restore_best_weights=True, start_from_epoch=50
        )
        return [late]

    result = trained(tmp_path, study(callbacks=callbacks))
    assert result.folds[0].best_epoch == 4
    assert result.value == result.curve[-1]["val_rmse"] != result.curve[0]["val_rmse"]


def test_a_schedule_in_the_builder_and_epochs_by_name_work(tmp_path):
    def scheduled(epochs, batch_size, lr: float = 0.05, input_shape: tuple[int, ...] = (3,)):
        steps = epochs * 5
        model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1)])
        schedule = keras.optimizers.schedules.CosineDecay(lr, steps)
        model.compile(keras.optimizers.SGD(schedule), "mse")
        return model

    defined = study(builder=scheduled, space={"lr": Float(1e-4, 1.0), "epochs": Int(2, 4)})
    result = trained(tmp_path, defined, params={"epochs": 3}, epochs=3)
    assert len(result.curve) == 3
    assert result.curve[-1]["val_rmse"] < result.curve[0]["val_rmse"]


def test_a_class_that_is_not_there_is_named():
    from tuning.scoring.class_weights import class_weights

    with pytest.raises(StudyError, match="there is no class 'yse'"):
        class_weights({"yse": 2.0}, np.zeros(2), ("no", "yes"))
