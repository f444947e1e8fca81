"""A `HyperModel.fit` in our training: what it chooses is done, what it cannot is left to it."""

from __future__ import annotations

import keras
import keras_tuner
import numpy as np
import pytest

from tuning.builders.hypermodel import Chosen, chosen_by
from tuning.data.dataset import Dataset
from tuning.errors import StudyError
from tuning.space.domains import Choice
from tuning.study.foreign.foreign_builder import adapted
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trainer.rows import Rows

X = np.arange(24.0, dtype="float32").reshape(12, 2)
Y = X.sum(axis=1)


def data():
    return Dataset("rows", X, Y, "regression")


class Hyper(keras_tuner.HyperModel):
    """Chooses the batch size, the order and the rows."""

    def build(self, hp):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(loss="mse")
        return model

    def fit(self, hp, model, x, y, **kwargs):
        if hp.Boolean("double"):
            x = 2 * x
        return model.fit(
            x, y, batch_size=hp.Choice("rows", [4, 6]), shuffle=hp.Boolean("shuffle"), **kwargs
        )


class Plain(Hyper):
    """Chooses only what a study searches too."""

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch_size", [4, 6]), **kwargs)


class ByHand(Hyper):
    """Trains without Keras' loop."""

    def fit(self, hp, model, x, y, **kwargs):
        return 0.5


class Splits(Hyper):
    """Holds rows out by itself."""

    def fit(self, hp, model, x, y, **kwargs):
        return model.fit(x, y, validation_split=0.5)


class Another(Hyper):
    """Trains another model."""

    def fit(self, hp, model, x, y, **kwargs):
        return self.build(hp).fit(x, y)


def study_of(builder, engine="optuna:random"):
    return Study(
        name="hyper", builder=builder, data=data, objective=Minimize("val_rmse"), engine=engine
    )


def chosen(builder, **point):
    adapter = adapted(builder)
    model = adapter(**point)
    usual = Chosen(rows=Rows(X, Y), epochs=3, batch_size=32)
    return chosen_by(adapter, model, usual, Rows(X, Y))


class Several(Hyper):
    """Takes two inputs and doubles them, by name or in the model's order."""

    def build(self, hp):
        inputs = [keras.Input((2,), name=name) for name in ("a", "b")]
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Add()(inputs)))
        model.compile(loss="mse")
        return model

    def fit(self, hp, model, x, y, **kwargs):
        double = {n: 2 * v for n, v in x.items()} if isinstance(x, dict) else [2 * v for v in x]
        return model.fit(double, y, **kwargs)


@pytest.mark.parametrize("names", ["ab", "01"])  # by name, and in the model's order
def test_several_inputs_that_its_fit_changes_stay_several(names):
    adapter = adapted(Several)
    rows = Rows({names[0]: X, names[1]: X + 1}, Y)
    made = chosen_by(adapter, adapter(), Chosen(rows=rows, epochs=1, batch_size=4), rows)
    np.testing.assert_array_equal(made.rows.X[names[1]], 2 * (X + 1))
    assert list(made.rows.X) == list(names)


def test_what_its_fit_asks_for_is_searched():
    space = study_of(Hyper).space
    assert list(space) == ["double", "rows", "shuffle"]


def test_what_it_chooses_is_trained_with():
    made = chosen(Hyper, double=True, rows=6, shuffle=False)
    assert (made.batch_size, made.shuffle, made.epochs) == (6, False, 3)
    np.testing.assert_array_equal(made.rows.X, 2 * X)
    assert "trains on rows that it has changed itself" in made.notes[0]


def test_rows_that_it_passes_on_are_the_same_object():
    made = chosen(Hyper, double=False, rows=4, shuffle=True)
    assert made.rows.X is X
    assert made.notes == ()


def test_a_builder_without_a_fit_of_its_own_changes_nothing():
    usual = Chosen(rows=Rows(X, Y), epochs=3, batch_size=32)
    model = keras.Sequential()
    assert chosen_by(adapted(lambda hp: model), model, usual, None) is usual


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        (ByHand, "it trains without model.fit"),
        (Splits, "it calls model.fit with validation_split"),
        (Another, "it trains another model than the one that build returned"),
    ],
)
def test_what_our_training_cannot_do_is_carried_out_as_it_is(builder, words):
    study = study_of(builder).with_(space={"batch_size": Choice(4, 6)})
    study.check()
    assert study.space.own_fit == words
    for changes, advice in (
        ({"engine": "gridsearchcv"}, "use an engine of Optuna or KerasTuner"),
        ({"trainer": "compiled"}, "use trainer='auto'"),
    ):
        with pytest.raises(StudyError, match=f"{words}; {advice}"):
            study.with_(**changes).check()


def test_scikit_learns_classes_take_a_fit_that_chooses_the_batch_size_alone():
    study_of(Plain, "gridsearchcv").check()
    with pytest.raises(StudyError, match="trains by itself, but the builder's fit changes"):
        study_of(Hyper, "gridsearchcv").check()


def test_keras_own_fit_is_back_afterwards():
    before = keras.Model.fit
    chosen(Hyper, double=False, rows=4, shuffle=True)
    assert keras.Model.fit is before
