"""The courses' wide & deep network."""

import numpy as np
import pytest

from tuning.builders.wide_deep import build_wide_deep
from tuning.errors import BuilderError


def test_defaults_are_the_courses_network():
    model = build_wide_deep()
    assert [type(layer).__name__ for layer in model.layers] == [
        "InputLayer",
        "Dense",
        "Dense",
        "Concatenate",
        "Dense",
    ]
    assert model.count_params() == (8 * 30 + 30) + (30 * 30 + 30) + (38 + 1)
    assert (model.loss, float(model.optimizer.learning_rate)) == (
        "mean_squared_error",
        pytest.approx(1e-3),
    )


def test_the_input_itself_reaches_the_last_layer():
    model = build_wide_deep(1, 2, input_shape=(3,))
    weights = [np.zeros_like(w) for w in model.get_weights()]
    weights[2][0] = 1.0  # the last kernel's first row is the first input
    model.set_weights(weights)
    assert float(model(np.array([[5.0, 6.0, 7.0]], np.float32))[0, 0]) == 5.0


def test_images_are_flattened_and_the_task_fixes_the_last_layer():
    model = build_wide_deep(1, 2, input_shape=(4, 4), task="multiclass", n_outputs=3)
    assert (model.output_shape, model.loss) == ((None, 3), "sparse_categorical_crossentropy")


def test_all_bad_arguments_are_told_at_once():
    with pytest.raises(BuilderError) as caught:
        build_wide_deep(0, 0, -1, optimizer="adamm")
    assert len(caught.value.faults) == 4
    assert "Did you mean 'adam'?" in str(caught.value)
