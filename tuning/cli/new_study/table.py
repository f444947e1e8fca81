"""A new study of a table of numbers: an MLP."""

from __future__ import annotations

from tuning.cli.new_study.kind import FITS_ITS_DATA, IS_COMPILED, Kind

MAKERS = {
    "regression": {
        "maker": "make_regression",
        "maker_arguments": "noise=5.0",
        "target": "y / y.std()",
    },
    "binary": {
        "maker": "make_classification",
        "maker_arguments": "n_classes=2",
        "target": "y",
    },
    "multiclass": {
        "maker": "make_classification",
        "maker_arguments": "n_informative=5,\n        n_classes=3",
        "target": "y",
    },
}
"""scikit-learn's function that makes the data, its own arguments, and y of what it returns."""

TABLE = Kind(
    tasks=("regression", "binary", "multiclass"),
    words=MAKERS,
    study='''\
"""A new study: say in one line what is searched, and on which data."""

from __future__ import annotations

import keras
from sklearn.datasets import $maker

from tuning import Choice, Dataset, Float, Int, $goal, Study


def build_model(
    n_hidden: int = 1, n_neurons: int = 30, lr: float = 1e-2, input_shape: tuple[int, ...] = (8,)
) -> keras.Model:
    """Return a compiled MLP: `n_hidden` ReLU layers of `n_neurons`, then $last_layer."""
    model = keras.Sequential([keras.layers.Input(input_shape)])
    for _ in range(n_hidden):
        model.add(keras.layers.Dense(n_neurons, activation="relu"))
    model.add(keras.layers.Dense($last_arguments))
$model_ends


def load_data() -> Dataset:
    """Return all rows of the table; replace this by your own. It is split and scaled for you."""
$made_data
    return Dataset(name="$name", X=X, y=$target, task="$task")


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
@pytest.mark.parametrize("n_hidden", [0, 1, 2])
def test_${word}_stacks_n_hidden_layers_before_the_last(study, n_hidden):
    model = study.builder(n_hidden=n_hidden, n_neurons=4)
    assert [layer.units for layer in model.layers] == [4] * n_hidden + [$outputs]


"""
    + IS_COMPILED
    + FITS_ITS_DATA,
)
