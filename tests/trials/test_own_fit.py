"""`HyperModel.fit` carried out word for word: own loops, several fits, figures it returns."""

from __future__ import annotations

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from tests.trials.small_study import ScriptedContext, job, study
from tuning import Minimize
from tuning.trial import Answer, Status
from tuning.trials.checkpoint import load_checkpoint, save_checkpoint
from tuning.trials.folds import prepare_fit
from tuning.trials.trial import run_trial
from tuning.trials.worker_study import load_worker_study

# So few steps are sooner done than a graph of them is made.
EAGER = {"loss": "mse", "run_eagerly": True}


class Base(keras_tuner.HyperModel):
    """A line, whose learning rate is searched."""

    def build(self, hp):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-2, default=1e-3)), **EAGER)
        return model


class Loop(Base):
    """Trains with a tape, and tells each epoch its own figure."""

    def build(self, hp):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])  # not compiled

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        optimizer = keras.optimizers.SGD(hp.Float("lr", 1e-4, 1e-2, default=1e-3))
        size = hp.Int("rows", 16, 48, step=16)
        batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(size)
        x_val, y_val = validation_data

        def step(images, labels):
            with tf.GradientTape() as tape:
                errors = model(images, training=True) - tf.cast(labels, "float32")
                loss = tf.reduce_mean(errors**2)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

        for callback in callbacks:
            callback.set_model(model)
        best = float("inf")
        for epoch in range(3):
            for batch in batches:
                step(*batch)
            mean = float(np.mean(np.abs(model(x_val) - np.reshape(y_val, (-1, 1)))))
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_mae": mean})
            best = min(best, mean)
        return best


class TwoFits(Base):
    """Trains the last layer, then all of them at a lower rate."""

    def fit(self, hp, model, *args, **kwargs):
        model.layers[0].trainable = False
        model.compile(keras.optimizers.SGD(hp.get("lr")), **EAGER)
        model.fit(*args, **kwargs)
        model.layers[0].trainable = True
        model.compile(keras.optimizers.SGD(hp.Choice("second", [1e-4, 1e-5])), **EAGER)
        return model.fit(*args, **kwargs)


class Splits(Base):
    """Holds rows out, and passes none of our callbacks on."""

    def fit(self, hp, model, x, y, **kwargs):
        return model.fit(x, y, validation_split=0.5, epochs=2, shuffle=False)


class Another(Base):
    """Trains another model of the same kind."""

    def fit(self, hp, model, x, y, **kwargs):
        return self.build(hp).fit(x, y, epochs=1)


class Larger(Base):
    """Trains a model of another kind."""

    def fit(self, hp, model, x, y, **kwargs):
        other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        other.compile("sgd", **EAGER)
        return other.fit(x, y)


class Nothing(Base):
    """Returns nothing."""

    def fit(self, hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        model.fit(*args, **kwargs)


class Figures(Base):
    """Returns what it likes."""

    def __init__(self, result):
        self.result = result
        super().__init__()

    def fit(self, hp, model, *args, **kwargs):
        history = model.fit(*args, **kwargs)
        return [history, history] if self.result == "histories" else self.result


def searched(builder, **changes):
    return study(**{"builder": builder, "space": {}, "epochs": 2, **changes})


def trained(folder, builder, context=None, **changes):
    params = {"lr": 1e-3}
    if isinstance(builder, type) and issubclass(builder, Loop):
        params["rows"] = 32
    if builder is TwoFits:
        params["second"] = 1e-5
    defined = searched(builder, **changes)
    return run_trial(job(folder, defined, params=params), context or ScriptedContext())


def untrained(builder, **params):
    """Return the fit of a trial before it is trained."""
    worker_study = load_worker_study(job("", searched(builder)).source, {})
    point = worker_study.study.split_params(params)
    return prepare_fit(worker_study, point, worker_study.fold(0), epochs=2, seed=5)


def fitted(builder, **params):
    """Return the fit of a trial, trained, and its rows."""
    item = untrained(builder, **params)
    item.train()
    return item, item.rows


def test_a_loop_of_its_own_is_run_and_its_figure_is_the_value(tmp_path):
    context = ScriptedContext()
    result = trained(tmp_path, Loop, context, objective=Minimize("val_my_mae"))
    assert result.status is Status.COMPLETED, result.error
    # It tells `my_mae` after each epoch, and returns the best of them.
    assert [report.epoch for report in context.reports] == [3]
    assert result.value == result.metrics["val_my_mae"] > 0
    assert any("trains in a loop of its own" in notice for notice in result.notices)


def test_each_epoch_of_a_loop_of_its_own_is_judged_and_may_be_pruned(tmp_path):
    context = ScriptedContext()
    result = trained(tmp_path / "whole", Loop, context)
    assert [report.epoch for report in context.reports] == [1, 2, 3]
    pruned = trained(tmp_path / "pruned", Loop, ScriptedContext(Answer.PRUNE, at=1))
    assert (pruned.status, pruned.epochs) == (Status.PRUNED, 2)
    assert pruned.value == context.reports[1].value != result.value


@pytest.fixture(scope="module")
def two_fits():
    return fitted(TwoFits, lr=1e-3, second=1e-5)


def test_two_fits_are_those_of_the_plain_program_and_count_as_one(two_fits):
    item, data = two_fits
    assert [row["epoch"] for row in item.judge.curve] == [1, 2, 3, 4]

    twin, _ = fitted(TwoFits, lr=1e-3, second=1e-5)
    keras.utils.set_random_seed(5)
    model = Base().build(keras_tuner.HyperParameters())
    model.set_weights(untrained(TwoFits, lr=1e-3, second=1e-5).fit.model.get_weights())
    keras.utils.set_random_seed(5)
    x, y = data.train.X, data.train.y
    for trainable, rate in ((False, 1e-3), (True, 1e-5)):
        model.layers[0].trainable = trainable
        model.compile(keras.optimizers.SGD(rate), **EAGER)
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
    for ours, again, theirs in zip(
        item.fit.model.get_weights(), twin.fit.model.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, again)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_the_winner_is_built_again_with_the_weights_of_a_second_phase(tmp_path, two_fits):
    item, data = two_fits
    save_checkpoint(tmp_path / "kept.npz", item.fit.model, 4)
    again = untrained(TwoFits, lr=1e-3, second=1e-5).fit.model
    load_checkpoint(tmp_path / "kept.npz", again)
    np.testing.assert_array_equal(again(data.scoring.X), item.fit.model(data.scoring.X))


def test_without_our_callbacks_the_model_is_judged_at_its_end(tmp_path):
    context = ScriptedContext()
    result = trained(tmp_path, Splits, context)
    assert result.status is Status.COMPLETED, result.error
    assert [report.epoch for report in context.reports] == [2]
    assert result.value == context.reports[0].value


def test_another_model_of_the_same_structure_lends_its_weights(tmp_path):
    item, _ = fitted(Another, lr=1e-3)
    first = untrained(Another, lr=1e-3).fit.model.get_weights()
    assert not np.array_equal(item.fit.model.get_weights()[0], first[0])
    result = trained(tmp_path, Larger)
    assert result.status is Status.FAILED
    assert "a model of another structure than the one that build returned" in result.error


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (0.25, 0.25),
        (np.float32(0.25), 0.25),
        ({"val_rmse": 0.5, "val_size": 3}, 0.5),
        ([{"val_rmse": 0.5}, {"val_rmse": 1.5}], 1.0),
    ],
)
def test_figures_are_taken_as_kerastuner_takes_them(returned, value, tmp_path):
    result = trained(tmp_path, Figures(returned))
    assert (result.status, result.value) == (Status.COMPLETED, value)
    assert result.metrics["val_rmse"] == value
    assert "val_rmse is what Figures.fit has returned" in result.notices


def test_histories_count_with_their_best_epochs(tmp_path):
    context = ScriptedContext()
    result = trained(tmp_path, Figures("histories"), context)
    assert result.value == pytest.approx(min(report.value for report in context.reports))


def test_a_figure_that_is_no_number_is_a_diverged_trial(tmp_path):
    result = trained(tmp_path, Figures(float("nan")))
    assert (result.status, result.value) == (Status.DIVERGED, None)


def test_a_fit_that_returns_nothing_fails_in_words(tmp_path):
    result = trained(tmp_path, Nothing)
    assert result.status is Status.FAILED
    assert "Nothing.fit returns nothing; let it return what model.fit returns" in result.error


def test_patience_counts_over_fits_and_keeps_the_best_weights(tmp_path):
    result = trained(tmp_path, TwoFits, patience=5)
    curve = [row["val_rmse"] for row in result.folds[0].curve]
    assert len(curve) == 4
    assert result.value == min(curve[2:])  # Keras' early stopping begins anew at each fit
