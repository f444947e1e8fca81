"""A new study of a model with two inputs: wide and deep."""

from __future__ import annotations

from tuning.cli.new_study.kind import IS_COMPILED, Kind
from tuning.cli.new_study.table import MAKERS

TWO_INPUTS = Kind(
    tasks=("regression", "binary", "multiclass"),
    words=MAKERS,
    study='''\
"""A new study: say in one line what is searched, and on which data."""

from __future__ import annotations

from collections.abc import Mapping

import keras
from sklearn.datasets import $maker

from tuning import Choice, Dataset, Float, Int, $goal, Study


def build_model(
    input_shape: Mapping[str, tuple[int, ...]],
    n_hidden: int = 1,
    n_neurons: int = 30,
    lr: float = 1e-2,
) -> keras.Model:
    """Return a compiled model: "deep" in `n_hidden` layers, "wide" beside, $last_layer.

    Args:
        input_shape: One sample's shape of each input, by its name in the data.
        n_hidden, n_neurons: ReLU layers, and the units of each.
        lr: Adam's learning rate, > 0.
    """
    inputs = {name: keras.layers.Input(shape, name=name) for name, shape in input_shape.items()}
    hidden = inputs["deep"]
    for _ in range(n_hidden):
        hidden = keras.layers.Dense(n_neurons, activation="relu")(hidden)
    both = keras.layers.Concatenate()([inputs["wide"], hidden])
    output = keras.layers.Dense($last_arguments)(both)
    model = keras.Model(inputs, output)
$model_ends


def load_data() -> Dataset:
    """Return all rows of both inputs; replace this by your own. It is split and scaled for you."""
$made_data
    inputs = {"wide": X[:, :3], "deep": X[:, 3:]}
    return Dataset(name="$name", X=inputs, y=$target, task="$task")


$study_begins
    space={
        "n_hidden": Int(0, 2),
        "n_neurons": Int(4, 64, log=True),
        "lr": Float(1e-3, 1e-1, log=True),
        "batch_size": Choice(16, 32, 64),
    },
$study_ends
''',
    test="""\
@pytest.mark.parametrize("n_hidden", [0, 2])
def test_${word}_stacks_n_hidden_layers_on_its_deep_input(study, n_hidden):
    model = study.builder({"wide": (3,), "deep": (5,)}, n_hidden=n_hidden, n_neurons=4)
    units = [layer.units for layer in model.layers if hasattr(layer, "units")]
    assert units == [4] * n_hidden + [$outputs]


"""
    + IS_COMPILED
    + """\
def test_${word}_fits_the_shapes_of_its_data(study):
    data = study.data()
    model = study.builder(**study.from_data(data))
    shapes = {tensor.name: tensor.shape[1:] for tensor in model.inputs}
    assert shapes == data.input_shape
    assert model.output_shape == (None, data.n_outputs)
""",
)
