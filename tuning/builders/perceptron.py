"""`build_perceptron`: one neuron that learns by Rosenblatt's rule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tuning.builders.arguments import above_zero, one_of, sample_shape, yes_or_no
from tuning.data.dataset import Task
from tuning.errors import BuilderError

if TYPE_CHECKING:
    import keras

ACTIVATIONS = ("heaviside", "sign", "sigmoid", "tanh")
TWO_SIDED = ("sign", "tanh")
"""Those whose neuron answers from −1 to 1; the model moves its answer to 0 … 1, where y is."""


def heaviside(z: Any) -> Any:
    """Return 1 where z >= 0, else 0."""
    import keras

    z = keras.ops.convert_to_tensor(z)
    return keras.ops.cast(z >= 0, z.dtype)


def sign(z: Any) -> Any:
    """Return −1, 0 or 1."""
    import keras

    return keras.ops.sign(z)


def build_perceptron(
    lr: float = 1.0,
    activation: str = "heaviside",
    *,
    zeros: bool = True,
    task: Task = "binary",
    n_outputs: int = 1,
    input_shape: Sequence[int] = (2,),
) -> keras.Model:
    """Return a compiled perceptron for two classes.

    It learns by w ← w + η (y − ŷ) x and b ← b + η (y − ŷ), added up over the rows of a batch; with
    `batch_size=1` it is the rule row after row. For the steps, which have no slope, there is no
    other way; for sigmoid the rule is gradient descent on cross-entropy.

    Source: Rosenblatt 1958, "The perceptron"; one layer, no hidden units.

    Args:
        lr: η, > 0. From zero weights it only scales the weights of a step.
        activation: heaviside (0, 1), sign (−1, 0, 1), sigmoid (0 to 1) or tanh (−1 to 1).
        zeros: Begin with weights of 0; else drawn by Glorot's rule.
        task: binary.
        n_outputs: 1.
        input_shape: One sample's shape without the batch axis; flattened where it has more axes
            than one.

    Returns:
        Maps float32 `(batch, *input_shape)` to `(batch, 1)`, from 0 to 1; `model.neuron` gives ŷ
        itself.

    Raises:
        BuilderError: Every argument outside its range.
    """
    faults = [
        *above_zero("lr", lr),
        *one_of("activation", activation, ACTIVATIONS),
        *yes_or_no("zeros", zeros),
        *sample_shape("input_shape", input_shape),
    ]
    if task != "binary" or n_outputs != 1:
        faults.append(
            "a perceptron separates two classes: task='binary', n_outputs=1; "
            f"got {task!r}, {n_outputs!r}"
        )
    if faults:
        raise BuilderError(faults, where="build_perceptron")

    import keras

    model = _perceptron()(activation, zeros=zeros)
    model.build((None, *(int(n) for n in input_shape)))
    # The loss is only shown: `train_step` gives the optimizer the rule's own step.
    model.compile(
        optimizer=keras.optimizers.SGD(float(lr)), loss="mean_squared_error", metrics=["accuracy"]
    )
    return model


def custom_objects() -> dict[str, Any]:
    """Return what Keras must know to load a saved perceptron.

    Made when asked for, since making it imports Keras.
    """
    return {"Perceptron": _perceptron(), "heaviside": heaviside, "sign": sign}


@cache
def _perceptron() -> Any:
    import keras

    @keras.saving.register_keras_serializable(package="tuning")
    class Perceptron(keras.Model):  # type: ignore[misc]
        """One neuron with a learning rule instead of a gradient."""

        def __init__(self, activation: str = "heaviside", zeros: bool = True, **rest: Any) -> None:
            super().__init__(**rest)
            steps = {"heaviside": heaviside, "sign": sign}
            self._activation = activation
            self._zeros = zeros
            self.flat = keras.layers.Flatten()
            self.neuron = keras.layers.Dense(
                1,
                activation=steps.get(activation, activation),
                name="neuron",
                kernel_initializer="zeros" if zeros else "glorot_uniform",
            )

        def build(self, input_shape: Any) -> None:
            """Make w and b."""
            self.flat.build(input_shape)
            self.neuron.build(self.flat.compute_output_shape(input_shape))
            self.built = True

        def call(self, inputs: Any) -> Any:
            """Return the answer, moved to 0 … 1."""
            return self._from_0_to_1(self.neuron(self.flat(inputs)))

        def _from_0_to_1(self, answer: Any) -> Any:
            return (answer + 1) / 2 if self._activation in TWO_SIDED else answer

        def train_step(self, data: Any) -> Any:
            """Learn from one batch; the optimizer gets −Σ (y − ŷ) x as if it were a gradient."""
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
            x = self.flat(x)
            answer = self.neuron(x)

            y = keras.ops.reshape(keras.ops.cast(y, answer.dtype), (-1, 1))
            target = 2 * y - 1 if self._activation in TWO_SIDED else y
            error = target - answer
            if weight is not None:
                weight_of_row = keras.ops.reshape(keras.ops.cast(weight, error.dtype), (-1, 1))
                error = error * weight_of_row

            kernel_step = -keras.ops.matmul(keras.ops.transpose(x), error)
            bias_step = -keras.ops.sum(error, axis=0)
            self.optimizer.apply([kernel_step, bias_step], [self.neuron.kernel, self.neuron.bias])

            predicted = self._from_0_to_1(answer)
            loss = self.compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weight)
            self._loss_tracker.update_state(loss, sample_weight=keras.ops.shape(y)[0])
            return self.compute_metrics(x, y, predicted, sample_weight=weight)

        def get_config(self) -> dict[str, Any]:
            """Return what `__init__` takes."""
            return {**super().get_config(), "activation": self._activation, "zeros": self._zeros}

    return Perceptron
