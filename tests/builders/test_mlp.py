"""`build_model`: layers, parameter counts, shapes, losses, learning rates, bad arguments."""

import keras
import numpy as np
import pytest

from tuning.builders.mlp import INITIALIZER_OF, build_model
from tuning.builders.tasks import LOSSES, OPTIMIZERS
from tuning.errors import BuilderError


def units(model):
    return [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def classes(n_outputs):
    return {"task": "multiclass", "n_outputs": n_outputs}


@pytest.mark.parametrize("n_hidden", [0, 1, 3])
def test_build_model_stacks_n_hidden_layers_before_one_output(n_hidden):
    model = build_model(n_hidden=n_hidden, n_neurons=4)
    assert [layer.units for layer in model.layers] == [4] * n_hidden + [1]


def test_called_as_the_course_calls_it_it_is_the_courses_model():
    model = build_model(n_hidden=2, n_neurons=20, lr=0.05, input_shape=[8])
    assert [layer.activation.__name__ for layer in model.layers] == ["relu", "relu", "linear"]
    assert (type(model.optimizer), float(model.optimizer.momentum)) == (keras.optimizers.SGD, 0.0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    assert model.loss == "mean_squared_error"
    assert (model.input_shape, model.output_shape) == ((None, 8), (None, 1))


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({"n_hidden": 1, "n_neurons": 10, "input_shape": (4,)}, 61),
        ({"n_hidden": 2, "n_neurons": 64, "input_shape": (28, 28), **classes(10)}, 55_050),
        ({"n_hidden": 2, "n_neurons": (300, 100), "input_shape": (784,), **classes(10)}, 266_610),
        ({"n_hidden": 1, "n_neurons": 10, "input_shape": (100,), **classes(13)}, 1_153),
    ],
)
def test_parameter_counts_are_those_counted_by_hand(arguments, parameters):
    assert build_model(**arguments).count_params() == parameters


def test_a_4_3_1_network_gives_the_output_computed_by_hand():
    model = build_model(1, 3, task="binary", input_shape=(4,))
    kernel = np.array([[2.1, -1.2, 0.3, 1.3], [-0.1, 1.2, 4.9, -3.1], [0.4, 2.6, -2.5, 3.8]]).T
    model.set_weights(
        [kernel, np.array([-3.0, -5.0, -8.0]), np.array([[1.1], [-4.1], [-0.7]]), np.array([5.1])]
    )
    output = model(np.array([[1.0, -3.1, -7.2, 2.1]], np.float32))
    assert float(output[0, 0]) == pytest.approx(0.832716044461517, rel=1e-5)


def test_a_2_2_2_1_network_gives_the_output_computed_by_hand():
    model = build_model(2, 2, input_shape=(2,))
    zeros = np.zeros(2)
    first, second = np.array([[2, 4], [4, -5]]).T, np.array([[-1, 2], [1, 2]]).T
    model.set_weights([first, zeros, second, zeros, np.array([[2], [7]]), np.zeros(1)])
    assert float(model(np.array([[3.0, 5.0]], np.float32))[0, 0]) == 182.0


def test_one_step_of_gradient_descent_moves_one_weight_as_computed_by_hand():
    model = build_model(n_hidden=0, lr=0.01, input_shape=(1,))
    model.set_weights([np.array([[2.0]]), np.zeros(1)])
    model.train_on_batch(np.array([[3.0]]), np.array([[10.0]]))
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(2.24)


def test_a_pyramid_shrinks_evenly_to_the_last_hidden_layer():
    assert units(build_model(3, 300, shape="pyramid")) == [300, 200, 100, 1]
    assert units(build_model(2, 20, shape="pyramid")) == [20, 10, 1]
    assert units(build_model(5, 3, shape="pyramid")) == [3, 3, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("task", "n_outputs", "activation", "loss", "metrics"),
    [
        ("regression", 1, "linear", "mean_squared_error", []),
        ("regression", 3, "linear", "mean_squared_error", []),
        ("binary", 1, "sigmoid", "binary_crossentropy", ["accuracy"]),
        ("multiclass", 4, "softmax", "sparse_categorical_crossentropy", ["accuracy"]),
        ("multilabel", 4, "sigmoid", "binary_crossentropy", ["label_accuracy"]),
    ],
)
def test_last_layer_loss_and_metrics_follow_the_task(task, n_outputs, activation, loss, metrics):
    model = build_model(1, 2, task=task, n_outputs=n_outputs)
    assert model.layers[-1].activation.__name__ == activation
    assert (model.output_shape, model.loss) == ((None, n_outputs), loss)
    y = np.zeros((4, n_outputs) if task != "multiclass" else 4)
    logs = model.evaluate(np.zeros((4, 8)), y, verbose=0, return_dict=True)
    assert sorted(logs) == sorted(["loss", *metrics])


def test_multilabel_accuracy_counts_each_label():
    model = build_model(0, task="multilabel", n_outputs=2, input_shape=(1,))
    model.set_weights([np.zeros((1, 2)), np.array([9.0, -9.0])])  # says yes, no
    logs = model.evaluate(np.zeros((2, 1)), np.array([[1, 0], [1, 1]]), verbose=0, return_dict=True)
    assert logs["label_accuracy"] == pytest.approx(0.75)


@pytest.mark.parametrize("activation", ["softplus", "exponential", "relu", "sigmoid", "tanh"])
def test_a_regression_can_be_bounded_by_its_output(activation):
    assert build_model(output_activation=activation).layers[-1].activation.__name__ == activation


@pytest.mark.parametrize(
    ("task", "loss"), [(task, loss) for task, losses in LOSSES.items() for loss in losses]
)
def test_every_loss_that_is_said_to_fit_a_task_trains_on_its_targets(task, loss):
    n_outputs = {"multiclass": 3, "multilabel": 2}.get(task, 1)
    y = {"multiclass": np.array([0, 2]), "multilabel": np.array([[0, 1], [1, 1]])}.get(
        task, np.array([0.0, 1.0])
    )
    model = build_model(1, 2, task=task, n_outputs=n_outputs, loss=loss)
    assert np.isfinite(np.asarray(model.train_on_batch(np.ones((2, 8)), y))).all()


@pytest.mark.parametrize(
    ("short", "whole"), [("mse", "mean_squared_error"), ("mae", "mean_absolute_error")]
)
def test_short_names_of_losses_mean_the_whole_ones(short, whole):
    assert build_model(loss=short).loss == whole


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_compiled_with_the_learning_rate_asked_for(optimizer):
    assert float(
        build_model(optimizer=optimizer, lr=0.02).optimizer.learning_rate
    ) == pytest.approx(0.02)


def test_momentum_is_sgd_with_nine_tenths_unless_another_is_given():
    assert build_model(optimizer="momentum").optimizer.momentum == 0.9
    assert build_model(optimizer="momentum", momentum=0.5).optimizer.momentum == 0.5
    assert build_model(optimizer="sgd", momentum=0.8).optimizer.momentum == 0.8


def test_clipnorm_reaches_the_optimizer():
    assert build_model(clipnorm=1.5).optimizer.clipnorm == 1.5


@pytest.mark.parametrize("activation", INITIALIZER_OF)
def test_no_initializer_means_the_one_that_fits_the_activation(activation):
    hidden = build_model(activation=activation, initializer=None).layers[0]
    assert hidden.activation.__name__ == activation
    wanted = keras.initializers.get(INITIALIZER_OF[activation])
    assert type(hidden.kernel_initializer) is type(wanted)


def test_batch_normalisation_stands_before_the_activation_and_dropout_after():
    kinds = [
        type(layer).__name__ for layer in build_model(1, 3, batch_norm=True, dropout=0.2).layers
    ]
    assert kinds == ["Dense", "BatchNormalization", "Activation", "Dropout", "Dense"]


def test_selu_gets_alpha_dropout():
    assert isinstance(
        build_model(1, 3, activation="selu", dropout=0.2).layers[1], keras.layers.AlphaDropout
    )


def test_l2_is_added_to_the_loss():
    model = build_model(0, l2=0.5, input_shape=(2,))
    model.set_weights([np.array([[1.0], [3.0]]), np.zeros(1)])
    assert float(sum(model.losses)) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_hidden": -1}, "n_hidden must be a whole number, at least 0, got -1"),
        ({"n_hidden": 1.5}, "n_hidden must be a whole number, at least 0, got 1.5"),
        ({"n_neurons": 0}, "n_neurons must be a whole number, at least 1, got 0"),
        ({"n_neurons": True}, "n_neurons must be a whole number, at least 1, got True"),
        ({"n_neurons": (3, 2)}, "n_neurons=(3, 2) names 2 layers, n_hidden is 1"),
        ({"lr": 0}, "lr must be a number above 0, got 0"),
        ({"lr": float("nan")}, "lr must be a number above 0, got nan"),
        (
            {"activation": "rellu"},
            "activation 'rellu' is unknown. Did you mean 'relu'? "
            "There are: relu, leaky_relu, elu, gelu, selu, tanh, sigmoid",
        ),
        (
            {"optimizer": "adm"},
            "optimizer 'adm' is unknown. "
            "Did you mean 'adam'? There are: sgd, momentum, adam, adamw, rmsprop, nadam",
        ),
        (
            {"optimizer": "adam", "momentum": 0.9},
            "momentum=0.9 is for sgd, momentum, rmsprop; adam has its own",
        ),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1, got 1.0"),
        ({"dropout": 1}, "dropout must be at least 0 and below 1, got 1"),
        ({"batch_norm": "yes"}, "batch_norm must be True or False, got 'yes'"),
        ({"l2": -0.1}, "l2 must be a number, at least 0, got -0.1"),
        ({"shape": "cone"}, "shape 'cone' is unknown. There are: constant, pyramid"),
        (
            {"input_shape": 8},
            "input_shape must be one sample's shape, such as (8,) or (28, 28), got 8",
        ),
        ({"clipnorm": 0}, "clipnorm must be a number above 0, got 0"),
        ({"n_outputs": 0}, "n_outputs must be a whole number, at least 1, got 0"),
        (
            {"task": "binary", "n_outputs": 2},
            "a binary task has n_outputs=1, got 2; for one unit a class use task='multiclass'",
        ),
        (
            {"task": "multiclass"},
            "a multiclass task has one unit a class, got n_outputs=1; "
            "for two classes use task='binary'",
        ),
        (
            {"task": "multiclass", "n_outputs": 3, "loss": "hinge"},
            "loss 'hinge' does not fit a multiclass task; "
            "fitting: sparse_categorical_crossentropy, "
            "categorical_crossentropy, categorical_focal_crossentropy, categorical_hinge",
        ),
        (
            {"task": "binary", "output_activation": "softmax"},
            "output_activation 'softmax' does not fit a binary task; fitting: sigmoid",
        ),
    ],
)
def test_a_bad_argument_is_told_in_one_sentence(arguments, message):
    with pytest.raises(BuilderError) as caught:
        build_model(**arguments)
    assert str(caught.value) == f"build_model: {message}"


def test_all_bad_arguments_are_told_at_once():
    with pytest.raises(BuilderError) as caught:
        build_model(-1, 0, 0, dropout=2)
    assert len(caught.value.faults) == 4


def test_numbers_from_numpy_are_numbers():
    model = build_model(np.int64(1), np.int64(3), np.float64(0.01), dropout=np.float32(0.1))
    assert units(model) == [3, 1]
