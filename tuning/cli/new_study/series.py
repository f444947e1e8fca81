"""A new study of a series in time: an LSTM on windows that are never written out."""

from __future__ import annotations

from tuning.cli.new_study.kind import FITS_ITS_DATA, IS_COMPILED, Kind

SERIES = Kind(
    tasks=("regression",),
    words={},
    study='''\
"""A new study: say in one line what is forecast, and from which series."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Int, $goal, Study, Windows


def build_model(
    n_units: int = 8, lr: float = 1e-2, input_shape: tuple[int, ...] = (12, 1)
) -> keras.Model:
    """Return a compiled LSTM of `n_units`, then $last_layer."""
    model = keras.Sequential([keras.layers.Input(input_shape)])
    model.add(keras.layers.LSTM(n_units))
    model.add(keras.layers.Dense($last_arguments))
$model_ends


def load_data(window: int = 12) -> Dataset:
    """Return windows of a series and what comes next; replace the series by your own.

    It is split by time: the last part of the series is the test set.
    """
    moments = np.arange(400)
    noise = np.random.default_rng(0).normal(scale=0.1, size=len(moments))
    series = np.sin(moments / 4) + 0.5 * np.sin(moments / 13) + noise
    return Windows(series, window, horizon=1, name="$name")


$study_begins
    space={
        "window": Choice(6, 12, 24),  # an argument of load_data
        "n_units": Int(4, 32, log=True),
        "lr": Float(1e-3, 1e-1, log=True),
        "batch_size": Choice(16, 32),
    },
$study_ends
''',
    test="""\
@pytest.mark.parametrize("window", [6, 24])
def test_${word}_takes_a_window_of_any_length(study, window):
    data = study.data(window=window)
    assert study.builder(**study.from_data(data)).input_shape == (None, window, 1)


"""
    + IS_COMPILED
    + FITS_ITS_DATA,
)
