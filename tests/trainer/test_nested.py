"""Models with several inputs and outputs, with masks, and of texts: `train` against `model.fit`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.trainer.forward import predict
from tuning.trainer.train import Fit, Rows, train

RNG = np.random.default_rng(3)
SIZE = RNG.normal(size=(40, 4)).astype("float32")  # two whole batches of 16 and one of 8
PLACE = RNG.normal(size=(40, 3)).astype("float32")
PRICE = (SIZE[:, 0] - PLACE[:, 1]).astype("float32")
SOLD = (SIZE[:, 1] > 0).astype("int32")
WEIGHTS = {name: RNG.uniform(0.2, 2.0, size=40).astype("float32") for name in ("price", "sold")}

INPUTS = {"size": SIZE, "place": PLACE}
TARGETS = {"price": PRICE, "sold": SOLD}
BY_NAME = {
    "loss": {"price": "mse", "sold": "binary_crossentropy"},
    "loss_weights": {"price": 1.0, "sold": 0.3},
    "metrics": {"price": ["mae"], "sold": ["accuracy"]},
    "weighted_metrics": {"price": ["mse"], "sold": []},
}
IN_ORDER = {
    "loss": ["mse", "binary_crossentropy"],
    "loss_weights": [1.0, 0.3],
    "metrics": [["mae"], ["accuracy"]],
}


class TwoOutputs(keras.Model):
    """A subclass takes inputs by name and gives outputs by name, in its own `call`."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(4, "tanh")
        self.price = keras.layers.Dense(1)
        self.sold = keras.layers.Dense(1, "sigmoid")

    def call(self, inputs):
        hidden = self.hidden(keras.ops.concatenate([inputs["size"], inputs["place"]], axis=-1))
        return {"price": self.price(hidden), "sold": self.sold(hidden)}


def functional(*, by_name):
    size, place = keras.Input((4,), name="size"), keras.Input((3,), name="place")
    hidden = keras.layers.Dense(4, "tanh")(keras.layers.Concatenate()([size, place]))
    price = keras.layers.Dense(1, name="price")(hidden)
    sold = keras.layers.Dense(1, "sigmoid", name="sold")(hidden)
    outputs = {"price": price, "sold": sold} if by_name else [price, sold]
    return keras.Model([size, place], outputs)


def compiled(make, **settings):
    keras.utils.set_random_seed(1)
    model = make()
    model.compile(keras.optimizers.SGD(0.1), **settings)
    return model


def first(rows, arrays):
    return keras.tree.map_structure(lambda array: array[:rows], arrays)


def _values(by_name):
    return list(by_name.values())


def assert_equals_fit(make, X, y, *, sample_weight=None, rtol=1e-5):
    """Train one model by `fit`, one by us; compare histories and weights. Return ours."""
    validation = first(23, (X, y) if sample_weight is None else (X, y, sample_weight))
    settings = {"validation_data": validation, "sample_weight": sample_weight}
    settings |= {"epochs": 2, "batch_size": 16, "shuffle": False}
    theirs, ours = make(), make()
    # The same sums, without the seconds of a trace; but eagerly Keras weights the losses of several
    # outputs by the rows of a batch, and in a graph it does not.
    theirs.run_eagerly = isinstance(y, np.ndarray)
    if (
        isinstance(sample_weight, dict)
        and isinstance(getattr(theirs, "outputs", None), list)
        and isinstance(theirs.output, list)
    ):
        # `fit` takes weights by name for outputs by name alone.
        in_order = dict(settings, sample_weight=list(sample_weight.values()))
        in_order["validation_data"] = (validation[0], *map(_values, validation[1:]))
        expected = theirs.fit(X, list(y.values()), verbose=0, **in_order).history
    else:
        expected = theirs.fit(X, y, verbose=0, **settings).history
    history = train(ours, X, y, trainer="compiled", **settings)

    assert list(history) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=rtol, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)
    return ours


@pytest.mark.parametrize(
    "model",
    [lambda: functional(by_name=True), lambda: functional(by_name=False), TwoOutputs],
    ids=["outputs by name", "outputs in order", "subclass"],
)
def test_two_inputs_and_outputs_by_name_with_weights_of_each_count_as_in_fit(model):
    model = assert_equals_fit(
        lambda: compiled(model, **BY_NAME), INPUTS, TARGETS, sample_weight=WEIGHTS
    )
    predicted = predict(model, INPUTS)
    assert list(predicted) == ["price", "sold"]
    expected = model.predict(INPUTS, verbose=0)
    if isinstance(expected, list):
        expected = dict(zip(["price", "sold"], expected, strict=True))
    for name, values in expected.items():
        np.testing.assert_allclose(predicted[name], values, rtol=1e-6)


def test_two_inputs_and_outputs_in_order_with_one_weight_count_as_in_fit():
    def make():
        return compiled(lambda: functional(by_name=False), **IN_ORDER)

    assert_equals_fit(make, [SIZE, PLACE], [PRICE, SOLD], sample_weight=WEIGHTS["price"])


def wide_and_deep(wide, deep):
    hidden = keras.layers.Dense(6, "relu")(deep)
    return keras.layers.Dense(1)(keras.layers.Concatenate()([wide, hidden]))


def test_wide_and_deep_with_two_inputs_is_bit_for_bit_the_one_with_their_concatenation():
    def two():
        wide, deep = keras.Input((4,)), keras.Input((3,))
        return keras.Model([wide, deep], wide_and_deep(wide, deep))

    def one():
        both = keras.Input((7,))
        return keras.Model(both, wide_and_deep(both[:, :4], both[:, 4:]))

    models = [compiled(make, loss="mse") for make in (two, one)]
    inputs = [(SIZE, PLACE), np.concatenate([SIZE, PLACE], axis=1)]
    histories = [
        train(model, X, PRICE, epochs=3, validation_data=(X, PRICE), trainer="compiled")
        for model, X in zip(models, inputs, strict=True)
    ]
    assert histories[0] == histories[1]
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)


def sequences():
    """Whole numbers, 0 behind the end of each sequence: no two are of equal length for long."""
    ids = RNG.integers(1, 9, size=(40, 5))
    lengths = RNG.integers(1, 6, size=(40, 1))
    return np.where(np.arange(5) < lengths, ids, 0)


def test_a_mask_that_reaches_the_outputs_counts_as_in_fit():
    def masked():
        layers = [
            keras.Input((5,)),
            keras.layers.Embedding(9, 3, mask_zero=True),
            keras.layers.SimpleRNN(4, return_sequences=True),
            keras.layers.Dense(1),
        ]
        return keras.Sequential(layers)

    def make():
        return compiled(masked, loss="mse", metrics=["mae"])

    ids = sequences()
    assert_equals_fit(make, ids, (0.1 * ids[:, :, None]).astype("float32"))


def test_texts_go_through_the_models_own_vocabulary_as_in_fit():
    texts = np.array(["good day", "bad night", "so so", "bad bad day"], dtype=object)
    texts = texts[RNG.integers(0, 4, 40)]
    vocabulary = ["good", "bad", "day", "night", "so"]

    def reader():
        layers = [
            keras.Input((), dtype="string"),
            keras.layers.TextVectorization(output_sequence_length=3, vocabulary=vocabulary),
            keras.layers.Embedding(8, 2),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1, "sigmoid"),
        ]
        return keras.Sequential(layers)

    def make():
        return compiled(reader, loss="binary_crossentropy")

    is_good = np.array([text.startswith("good") for text in texts]).astype("float32")
    model = assert_equals_fit(make, texts, is_good)
    fixed_length = texts.astype(str)
    np.testing.assert_array_equal(predict(model, fixed_length), predict(model, texts))


class Takes(keras.callbacks.Callback):
    """Keeps the predictions that it is given."""

    def take_predictions(self, predicted):
        self.predicted = predicted


def test_callbacks_are_given_the_predictions_of_each_output_by_its_name():
    model, takes = compiled(lambda: functional(by_name=False), **IN_ORDER), Takes()
    rows = Rows((SIZE, PLACE), (PRICE, SOLD))
    list(Fit(model, rows, validation=rows.take(slice(9)), callbacks=[takes]).epochs())
    expected = predict(model, (SIZE[:9], PLACE[:9]))
    assert list(takes.predicted) == ["price", "sold"]
    for name, values in takes.predicted.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-6)


def test_class_weights_of_several_outputs_are_refused_as_by_fit():
    model = compiled(lambda: functional(by_name=True), **BY_NAME)
    with pytest.raises(ValueError, match=r"one output; received outputs price, sold; use sample_w"):
        train(model, INPUTS, TARGETS, class_weight={0: 1.0, 1: 2.0})
