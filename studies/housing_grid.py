"""California housing: the courses' very grid by scikit-learn's GridSearchCV.

27 points with 2 folds each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuning import Choice, Minimize, Study
from tuning.data.california import california_housing

if TYPE_CHECKING:
    import keras


def build_model(
    n_hidden: int = 1,
    n_neurons: int = 30,
    lr: float = 1e-3,
    input_shape: Sequence[int] = [8],
) -> keras.Model:
    """Return the courses' regression MLP.

    `n_hidden` ReLU layers and one linear unit, SGD, mean squared error.
    """
    import keras

    model = keras.Sequential()
    model.add(keras.layers.InputLayer(shape=input_shape))
    for _ in range(n_hidden):
        model.add(keras.layers.Dense(n_neurons, activation="relu"))
    model.add(keras.layers.Dense(1))
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(learning_rate=lr))
    return model


STUDY = Study(
    name="housing_grid",
    builder=build_model,
    data=california_housing,
    objective=Minimize("val_rmse"),
    space={
        "n_hidden": Choice(1, 2, 3),
        "n_neurons": Choice(50, 100, 200),
        "lr": Choice(1e-4, 1e-3, 1e-1),
    },
    engine="gridsearchcv",
    trials=None,
    epochs=30,
    cv=2,
    seed=42,
)
