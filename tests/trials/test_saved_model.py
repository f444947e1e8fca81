"""A winner's file: it takes raw inputs, whatever their scale."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.data.parts import Scaler
from tuning.trainer.forward import predict
from tuning.trials.saved_model import save_for_raw_inputs


def test_large_numbers_that_vary_little_are_centred_before_they_are_rounded(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    seconds = 1700000003.7 + np.arange(8.0)[:, None]
    scaler = Scaler(np.array([1700000003.7]), np.array([1.0]))
    save_for_raw_inputs(model, scaler, tmp_path / "dates.keras")
    saved = keras.saving.load_model(tmp_path / "dates.keras")
    np.testing.assert_allclose(predict(saved, seconds)[:, 0], np.arange(8.0), atol=1e-5)


@pytest.mark.parametrize("deviation", [1e-9, 1e-30])
def test_a_column_that_varies_by_less_than_keras_divides_by_is_scaled_all_the_same(
    tmp_path, deviation
):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    X = np.column_stack([np.arange(8.0) * deviation, 1.7e9 + 1e7 * np.arange(8.0)])
    scaler = Scaler(np.array([deviation, 1.7e9]), np.array([deviation, 1e7]))
    save_for_raw_inputs(model, scaler, tmp_path / "small.keras")
    saved = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_allclose(predict(saved, X), predict(model, scaler.transform(X)), rtol=1e-6)
