"""`build_model`: a multilayer perceptron for any task, the courses' builder with more choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tuning.builders.arguments import (
    above_zero,
    not_negative,
    one_of,
    sample_shape,
    share,
    whole,
    yes_or_no,
)
from tuning.builders.tasks import (
    OPTIMIZERS,
    TAKES_MOMENTUM,
    compile_for,
    head_faults,
    last_layer,
    make_optimizer,
)
from tuning.data.dataset import Task
from tuning.errors import BuilderError

if TYPE_CHECKING:
    import keras

INITIALIZER_OF = {
    "relu": "he_normal",
    "leaky_relu": "he_normal",
    "elu": "he_normal",
    "gelu": "he_normal",
    "selu": "lecun_normal",
    "tanh": "glorot_uniform",
    "sigmoid": "glorot_uniform",
}
"""Hidden activations, and the initialiser that fits each.

Source: Glorot & Bengio 2010 (tanh, sigmoid); He et al. 2015, arXiv:1502.01852 (relu, leaky relu);
Klambauer et al. 2017, arXiv:1706.02515 (selu). That elu and gelu take He's too is custom, not from
these papers.
"""

INITIALIZERS = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
    "random_uniform",
    "random_normal",
)


def build_model(
    n_hidden: int = 1,
    n_neurons: int | Sequence[int] = 30,
    lr: float = 1e-3,
    *,
    activation: str = "relu",
    initializer: str | None = "glorot_uniform",
    optimizer: str = "sgd",
    momentum: float = 0.0,
    dropout: float = 0.0,
    batch_norm: bool = False,
    l2: float = 0.0,
    shape: Literal["constant", "pyramid"] = "constant",
    task: Task = "regression",
    n_outputs: int = 1,
    input_shape: Sequence[int] = (8,),
    output_activation: str | None = None,
    loss: str | None = None,
    clipnorm: float | None = None,
) -> keras.Model:
    """Return a compiled MLP: `n_hidden` hidden layers, then the last layer of the task.

    With `n_hidden`, `n_neurons`, `lr` and `input_shape` alone it is the courses' regression model.

    Args:
        n_hidden: Hidden layers, >= 0; 0 is a linear model.
        n_neurons: Units of the first hidden layer, >= 1; or the units of each, e.g. `(300, 100)`
            for `n_hidden=2`.
        lr: The optimizer's learning rate, > 0.
        activation: relu, tanh, sigmoid, leaky_relu, selu, elu or gelu.
        initializer: Of all kernels, see `INITIALIZERS`; None: what fits the activation, see
            `INITIALIZER_OF`.
        optimizer: sgd, momentum (SGD with 0.9), adam, adamw, rmsprop or nadam.
        momentum: In [0, 1); of sgd, momentum and rmsprop only.
        dropout: Share of each hidden layer's outputs that is dropped in training, in [0, 1); for
            selu alpha dropout.
        batch_norm: Normalise before each hidden activation (Ioffe & Szegedy 2015,
            arXiv:1502.03167).
        l2: Weight of the squared kernels in the loss, >= 0.
        shape: "constant": every hidden layer has `n_neurons`. "pyramid": layer i of h, from 1, has
            ceil(n_neurons · (h − i + 1) / h): (300, 200, 100) for 3 layers and 300 neurons.
        task: regression, binary, multiclass or multilabel.
        n_outputs: Units of the last layer: targets, classes or labels; 1 for binary.
        input_shape: One sample's shape without the batch axis, e.g. `(8,)`; flattened where it has
            more axes.
        output_activation: For regression: softplus, exponential or relu (positive targets), sigmoid
            (0 to 1), tanh (−1 to 1); None: linear. The other tasks have one each.
        loss: One that fits the task, see `tasks.LOSSES`; None: mean squared error, binary or sparse
            categorical cross-entropy. Class numbers are made one-hot rows for categorical losses.
        clipnorm: Largest norm of one variable's gradient, > 0; None: not clipped.

    Returns:
        Maps float32 `(batch, *input_shape)` to `(batch, n_outputs)`.

    Raises:
        BuilderError: Every argument outside its range, and a loss that does not fit the task.
    """
    arguments = _Arguments(**locals())
    faults = list(arguments.faults())
    if faults:
        raise BuilderError(faults, where="build_model")

    import keras  # it costs seconds, and wrong arguments need none of them

    inputs = keras.Input(tuple(int(size) for size in input_shape))
    model = keras.Sequential([inputs, *arguments.hidden_layers()])
    model.add(last_layer(task, n_outputs, output_activation, initializer=arguments.kernel, l2=l2))
    compile_for(model, task, loss, make_optimizer(optimizer, lr, momentum, clipnorm))
    return model


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    """The arguments of `build_model`, under its names."""

    n_hidden: int
    n_neurons: int | Sequence[int]
    lr: float
    activation: str
    initializer: str | None
    optimizer: str
    momentum: float
    dropout: float
    batch_norm: bool
    l2: float
    shape: str
    task: Task
    n_outputs: int
    input_shape: Sequence[int]
    output_activation: str | None
    loss: str | None
    clipnorm: float | None

    @property
    def kernel(self) -> str:
        """The initialiser of all kernels."""
        if self.initializer is None:
            return INITIALIZER_OF[self.activation]
        return self.initializer

    @property
    def widths(self) -> tuple[int, ...]:
        """The units of each hidden layer."""
        if isinstance(self.n_neurons, Sequence):
            return tuple(int(units) for units in self.n_neurons)

        n_hidden = int(self.n_hidden)
        n_neurons = int(self.n_neurons)
        if self.shape != "pyramid":
            return (n_neurons,) * n_hidden
        # Rounded up: a layer never has 0 units.
        return tuple(-(-n_neurons * step // n_hidden) for step in range(n_hidden, 0, -1))

    def faults(self) -> Iterator[str]:
        yield from whole("n_hidden", self.n_hidden, 0)
        yield from self._width_faults()
        yield from above_zero("lr", self.lr)
        yield from one_of("activation", self.activation, INITIALIZER_OF)
        yield from one_of("initializer", self.initializer, (None, *INITIALIZERS))
        yield from one_of("optimizer", self.optimizer, OPTIMIZERS)
        yield from share("momentum", self.momentum)
        if self.momentum and self.optimizer in OPTIMIZERS and self.optimizer not in TAKES_MOMENTUM:
            fitting = ", ".join(TAKES_MOMENTUM)
            yield f"momentum={self.momentum!r} is for {fitting}; {self.optimizer} has its own"

        yield from share("dropout", self.dropout)
        yield from yes_or_no("batch_norm", self.batch_norm)
        yield from not_negative("l2", self.l2)
        yield from one_of("shape", self.shape, ("constant", "pyramid"))
        yield from sample_shape("input_shape", self.input_shape)
        yield from head_faults(self.task, self.n_outputs, self.output_activation, self.loss)
        if self.clipnorm is not None:
            yield from above_zero("clipnorm", self.clipnorm)

    def _width_faults(self) -> Iterator[str]:
        if not isinstance(self.n_neurons, tuple | list):
            yield from whole("n_neurons", self.n_neurons, 1)
            return
        for units in self.n_neurons:
            yield from whole("each of n_neurons", units, 1)
        if len(self.n_neurons) != self.n_hidden:
            yield (
                f"n_neurons={self.n_neurons!r} names {len(self.n_neurons)} layers, "
                f"n_hidden is {self.n_hidden!r}"
            )
        if self.shape == "pyramid":
            yield f"n_neurons={self.n_neurons!r} is a shape already; drop shape='pyramid'"

    def hidden_layers(self) -> Iterator[Any]:
        """Yield Flatten where the input needs it, then the layers of each hidden stage."""
        import keras

        if len(self.input_shape) > 1:
            yield keras.layers.Flatten()

        # Alpha dropout keeps the mean and variance that selu relies on.
        dropout = keras.layers.AlphaDropout if self.activation == "selu" else keras.layers.Dropout
        for units in self.widths:
            yield keras.layers.Dense(
                units,
                activation=None if self.batch_norm else self.activation,
                use_bias=not self.batch_norm,  # normalisation adds its own
                kernel_initializer=self.kernel,
                kernel_regularizer=keras.regularizers.L2(float(self.l2)) if self.l2 else None,
            )
            # Between the weights and the activation, as Ioffe & Szegedy have it.
            if self.batch_norm:
                yield keras.layers.BatchNormalization()
                yield keras.layers.Activation(self.activation)
            if self.dropout:
                yield dropout(float(self.dropout))
