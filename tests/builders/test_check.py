"""`check_builder`: a model that does not fit the data is refused before anything is trained."""

import keras
import numpy as np
import pytest

from tuning.builders.check import check_builder
from tuning.builders.mlp import build_model
from tuning.builders.wide_deep import build_wide_deep
from tuning.data.parts import Part
from tuning.errors import BuilderError, StudyError

HOUSING = {"input_shape": (8,), "task": "regression"}
IRIS = {"input_shape": (4,), "task": "multiclass", "n_outputs": 3}


def head(units, activation=None, loss="mse", inputs=8):
    def user_builder():
        model = keras.Sequential(
            [keras.Input((inputs,)), keras.layers.Dense(units, activation=activation)]
        )
        model.compile("sgd", loss)
        return model

    return user_builder


def fault(builder, data, arguments=None):
    with pytest.raises(StudyError) as caught:
        check_builder(builder, arguments or {}, **data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("builder", "data"),
    [
        (build_model, HOUSING),
        (build_wide_deep, HOUSING),
        (head(3, "softmax", "sparse_categorical_crossentropy", 4), IRIS),
        (head(3, None, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 4), IRIS),
        (head(3, "softmax", "crossentropy", 4), IRIS),
        (head(3, "softmax", "categorical_crossentropy", 4), IRIS),
        (
            head(2, "softmax", "categorical_crossentropy"),
            {"input_shape": (8,), "task": "binary"},
        ),
        (head(1, "sigmoid", "binary_crossentropy"), {"input_shape": (8,), "task": "binary"}),
        (head(1, "tanh", "mse"), {"input_shape": (8,), "task": "binary"}),
        (
            head(2, "softmax", "sparse_categorical_crossentropy"),
            {"input_shape": (8,), "task": "binary"},
        ),
        (
            head(2, "sigmoid", "binary_crossentropy"),
            {"input_shape": (8,), "task": "multilabel", "n_outputs": 2},
        ),
        (head(1, None, lambda y, p: keras.ops.mean(keras.ops.abs(y - p))), HOUSING),
    ],
)
def test_a_builder_that_fits_passes(builder, data):
    check_builder(builder, {}, **data)


def with_mape():
    model = head(1)()
    model.compile("sgd", "mse", metrics=["mean_absolute_percentage_error"])
    return model


def test_an_objective_that_no_metric_has_is_told_with_the_nearest():
    assert fault(with_mape, {**HOUSING, "metric": "mean_absolut_percentage_error"}) == (
        "with_mape: the objective is 'val_mean_absolut_percentage_error', "
        "but no metric of the compiled model is "
        "called 'mean_absolut_percentage_error'. "
        "Did you mean 'mean_absolute_percentage_error'? It has: loss, "
        "mean_absolute_percentage_error; computed for any model: rmse, mae, r2, mse, mape, medae, "
        "max_error, msle, rmsle, explained_variance, poisson_deviance, gamma_deviance, pinball, "
        "pinball_0.9, loss, and the scorers of scikit-learn that fit"
    )
    check_builder(with_mape, {}, **HOUSING, metric="mean_absolute_percentage_error")


def test_an_objective_with_a_value_for_each_class_is_told():
    def per_class():
        model = head(3, "sigmoid", "binary_crossentropy", 4)()
        model.compile("sgd", "binary_crossentropy", metrics=[keras.metrics.F1Score(name="f1")])
        return model

    data = {"input_shape": (4,), "task": "multilabel", "n_outputs": 3, "metric": "f1"}
    assert "the objective 'val_f1' has 3 values, one a class; give average='macro'" in fault(
        per_class, data
    )


def test_a_model_without_an_input_layer_passes():
    def shapeless():
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    check_builder(shapeless, {}, **HOUSING)


def test_another_input_shape_is_told():
    message = fault(build_model, {"input_shape": (4,), "task": "regression"})
    assert message == (
        "build_model: the model takes inputs of shape (8,), the data has (4,); "
        "let the builder take `input_shape`, "
        "it is filled in from the data"
    )


def test_images_for_a_flat_model_are_told():
    assert "takes inputs of shape (784,), the data has (28, 28)" in fault(
        head(1, inputs=784), {"input_shape": (28, 28), "task": "regression"}
    )


def test_two_inputs_are_told():
    def two_inputs():
        a, b = keras.Input((4,)), keras.Input((4,))
        model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.concatenate([a, b])))
        model.compile("sgd", "mse")
        return model

    assert fault(two_inputs, HOUSING) == (
        "two_inputs: the model has 2 inputs (keras_tensor, keras_tensor_1), the data has one; "
        "give X as a mapping by these names, or as a tuple in their order"
    )


def test_two_outputs_are_told():
    def two_outputs():
        a = keras.Input((8,))
        model = keras.Model(a, [keras.layers.Dense(1)(a), keras.layers.Dense(1)(a)])
        model.compile("sgd", ["mse", "mse"])
        return model

    assert fault(two_outputs, HOUSING) == (
        "two_outputs: the model has 2 outputs, the data has one; "
        "give y as a mapping by the names of the outputs, or as a tuple in their order"
    )


def test_a_wrong_number_of_units_is_told():
    assert fault(head(1, "sigmoid", "sparse_categorical_crossentropy", 4), IRIS) == (
        "user_builder: the last layer gives 1 unit; a multiclass task with this y needs 3 units: "
        "let the builder take `n_outputs`, it is filled in from the data"
    )


@pytest.mark.parametrize(
    ("builder", "data", "message"),
    [
        (
            head(3, "softmax", keras.losses.MeanSquaredError(name="mine"), 4),
            IRIS,
            "loss mean_squared_error does not fit y, which holds class numbers, one a row; "
            "use sparse_categorical_crossentropy",
        ),
        (
            head(1, "sigmoid", "sparse_categorical_crossentropy"),
            {"input_shape": (8,), "task": "binary"},
            "loss sparse_categorical_crossentropy does not fit y, which holds 0 or 1, one a row; "
            "use binary_crossentropy, binary_focal_crossentropy, mean_squared_error",
        ),
        (
            head(1, "sigmoid", "bce"),
            HOUSING,
            "loss binary_crossentropy does not fit y, which holds real numbers; "
            "use mean_squared_error, "
            "mean_absolute_error, mean_absolute_percentage_error, huber, log_cosh",
        ),
        (
            head(2, "sigmoid", "sparse_categorical_crossentropy"),
            {"input_shape": (8,), "task": "multilabel", "n_outputs": 2},
            "loss sparse_categorical_crossentropy does not fit y, which holds 0 and 1 a label; "
            "use binary_crossentropy, binary_focal_crossentropy, mean_squared_error",
        ),
        (
            head(1, "sigmoid", "hinge"),
            {"input_shape": (8,), "task": "binary"},
            "loss hinge does not fit y, which holds 0 or 1, one a row: it wants −1 and 1; "
            "use binary_crossentropy, binary_focal_crossentropy, mean_squared_error",
        ),
        (
            head(2, "sigmoid", "squared_hinge"),
            {"input_shape": (8,), "task": "multilabel", "n_outputs": 2},
            "loss squared_hinge does not fit y, which holds 0 and 1 a label: it wants −1 and 1; "
            "use binary_crossentropy, binary_focal_crossentropy, mean_squared_error",
        ),
        (
            head(2, "softmax", "binary_crossentropy"),
            {"input_shape": (8,), "task": "multilabel", "n_outputs": 2},
            "softmax makes the labels exclude each other; use sigmoid",
        ),
        (
            head(2, "softmax", "mse"),
            {"input_shape": (8,), "task": "regression", "n_outputs": 2},
            "softmax makes the outputs add up to 1; use linear or softplus",
        ),
        (
            head(3, "sigmoid", "sparse_categorical_crossentropy", 4),
            IRIS,
            "3 sigmoids are 3 answers that do not exclude each other; use softmax",
        ),
        (
            head(1, "relu", "binary_crossentropy"),
            {"input_shape": (8,), "task": "binary"},
            "binary_crossentropy needs probabilities, but the last layer is relu; "
            "give it activation='sigmoid'",
        ),
        (
            head(1, "softmax", "binary_crossentropy"),
            {"input_shape": (8,), "task": "binary"},
            "softmax over one unit is always 1; use sigmoid",
        ),
        (
            head(3, None, "sparse_categorical_crossentropy", 4),
            IRIS,
            "sparse_categorical_crossentropy needs probabilities, but the last layer is linear; "
            "give it activation='softmax'",
        ),
        (
            head(1, None, None),
            HOUSING,
            "the model is compiled without a loss; give model.compile(loss=…)",
        ),
    ],
)
def test_a_loss_or_last_layer_that_means_something_else_is_told(builder, data, message):
    assert fault(builder, data) == f"user_builder: {message}"


@pytest.mark.parametrize("loss", ["mean_squared_eror", lambda y, p: keras.ops.matmul(y, p)])
def test_a_loss_that_fails_on_y_is_told(loss):
    assert "the loss cannot compare y of shape (2, 1) with outputs of shape (2, 1): " in fault(
        head(1, None, loss), HOUSING
    )


def test_an_error_in_the_builder_is_told_with_its_arguments_and_line():
    def broken(n_neurons):
        return keras.layers.Dense(n_neurons)(None)

    message = fault(broken, HOUSING, {"n_neurons": 3})
    assert message.startswith("broken(n_neurons=3) raised ")


def test_an_error_of_keras_is_told_with_what_went_wrong_and_not_where_alone():
    def broken():
        return keras.layers.Discretization(num_bins=3)(np.zeros((1, 3)))

    message = fault(broken, HOUSING)
    assert "when calling Discretization.call(): You need to" in message
    assert "\x1b" not in message


def test_a_bad_argument_stays_the_builders_own_error():
    with pytest.raises(BuilderError, match="build_model: lr must be a number above 0"):
        check_builder(build_model, {"lr": -1}, **HOUSING)


def test_a_builder_that_returns_nothing_is_told():
    assert fault(lambda: None, HOUSING) == "<lambda> returned None; end it with `return model`"


def test_checking_leaves_random_states_as_they_were():
    np.random.seed(1)
    before = float(np.random.rand())
    np.random.seed(1)
    check_builder(build_model, {}, **HOUSING)
    assert float(np.random.rand()) == before


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.abs(y - y_pred))


class OwnSteps(keras.Model):
    def train_step(self, data):
        return {"loss": 0.0}

    def test_step(self, data):
        return {"loss": 0.0}


class OwnTrainStep(keras.Model):
    def train_step(self, data):
        return {"loss": 0.0}


def without_loss(kind):
    def builder():
        inputs = keras.Input((8,))
        model = kind(inputs, keras.layers.Dense(1)(inputs))
        model.compile("sgd")
        return model

    return builder


@pytest.mark.parametrize("kind", [OwnLoss, OwnSteps])
def test_a_model_that_computes_its_loss_itself_is_compiled_without_one(kind):
    check_builder(without_loss(kind), {}, **HOUSING)


@pytest.mark.parametrize("kind", [keras.Model, OwnTrainStep])
def test_any_other_model_needs_a_loss(kind):
    assert "the model is compiled without a loss" in fault(without_loss(kind), HOUSING)


def test_an_f_score_of_one_unit_is_an_objective_beside_other_metrics():
    def builder():
        model = head(1, "sigmoid", "binary_crossentropy", 4)()
        f_score = keras.metrics.F1Score(threshold=0.5)
        model.compile("sgd", "binary_crossentropy", metrics=[f_score, "AUC"])
        return model

    data = {"input_shape": (4,), "task": "binary", "metric": "f1_score"}
    sample = Part(np.zeros((2, 4), np.float32), np.array([0.0, 1.0], np.float32))
    check_builder(builder, {}, **data, sample=sample)


@pytest.mark.parametrize(
    "on_classes", ["categorical_crossentropy", "sparse_categorical_crossentropy"]
)
def test_losses_by_name_belong_to_targets_that_were_given_in_the_models_order(on_classes):
    def user_builder():
        inputs = keras.Input((4,))
        number = keras.layers.Dense(1, name="number")(inputs)
        kind = keras.layers.Dense(3, "softmax", name="kind")(inputs)
        model = keras.Model(inputs, [number, kind])
        model.compile("sgd", {"number": "mse", "kind": on_classes})
        return model

    tasks = {"0": "regression", "1": "multiclass"}
    check_builder(user_builder, {}, input_shape=(4,), task=tasks, n_outputs={"0": 1, "1": 3})
