"""A new study over a builder as KerasTuner has it, which every engine searches."""

from __future__ import annotations

from tuning.cli.new_study.kind import IS_COMPILED, Kind
from tuning.cli.new_study.table import MAKERS

KERAS_TUNER = Kind(
    tasks=("regression", "binary", "multiclass"),
    words=MAKERS,
    engine="keras-tuner:bayesian",
    study='''\
"""A new study: say in one line what is searched, and on which data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from sklearn.datasets import $maker

from tuning import Choice, Dataset, $goal, Study

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


def build_model(hp: HyperParameters) -> keras.Model:
    """Return a compiled MLP; what it asks `hp` for is the space."""
    model = keras.Sequential([keras.layers.Input((8,))])
    for i in range(hp.Int("n_hidden", 0, 2, default=1)):
        units = hp.Int(f"units_{i}", 8, 64, step=8)
        model.add(keras.layers.Dense(units, activation="relu"))
    model.add(keras.layers.Dense($last_arguments))
    lr = hp.Float("lr", 1e-3, 1e-1, sampling="log", default=1e-2)
$model_ends


def load_data() -> Dataset:
    """Return all rows of the table; replace this by your own. It is split and scaled for you."""
$made_data
    return Dataset(name="$name", X=X, y=$target, task="$task")


$study_begins
    space={"batch_size": Choice(16, 32, 64)},  # besides what the builder asks for
$study_ends
''',
    test="""\
def test_${word}_asks_for_its_space(study):
    assert set(study.space) == {"n_hidden", "units_0", "units_1", "lr", "batch_size"}


@pytest.mark.parametrize("n_hidden", [0, 1, 2])
def test_${word}_stacks_n_hidden_layers_before_the_last(study, n_hidden):
    model = study.builder(n_hidden=n_hidden, units_0=8, units_1=8)
    assert [layer.units for layer in model.layers] == [8] * n_hidden + [$outputs]


"""
    + IS_COMPILED.rstrip("\n")
    + "\n",
)
