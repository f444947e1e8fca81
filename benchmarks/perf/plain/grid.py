"""The courses' grid over California housing: SciKeras under GridSearchCV."""

from __future__ import annotations

import json
import sys
import time

import keras
import numpy as np
from scikeras.wrappers import KerasRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

STEP = "kerasregressor__model__"


def build_model(n_hidden: int = 1, n_neurons: int = 30, lr: float = 1e-3) -> keras.Model:
    """Return the courses' regression MLP."""
    model = keras.Sequential([keras.layers.Input(shape=(8,))])
    for _ in range(n_hidden):
        model.add(keras.layers.Dense(n_neurons, activation="relu"))
    model.add(keras.layers.Dense(1))
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(learning_rate=lr))
    return model


def main(data: str, epochs: int, most_neurons: int) -> None:
    """Search with two processes, on the rows of `data`.

    `most_neurons` below 200 makes the grid smaller. Features are scaled within each fold, as ours
    are: a few districts with extreme values decide how all others are scaled.
    """
    arrays = np.load(data)
    regressor = KerasRegressor(
        build_model,
        epochs=epochs,
        verbose=0,
        random_state=42,
        model__n_hidden=1,
        model__n_neurons=50,
        model__lr=1e-3,
    )

    grid = {
        f"{STEP}n_hidden": [1, 2, 3] if most_neurons >= 200 else [1],
        f"{STEP}n_neurons": [n for n in (50, 100, 200) if n <= most_neurons],
        f"{STEP}lr": [1e-4, 1e-3, 1e-1] if most_neurons >= 200 else [1e-3],
    }
    steps = make_pipeline(StandardScaler(), regressor)
    search = GridSearchCV(steps, grid, cv=2, n_jobs=2, scoring="neg_root_mean_squared_error")
    search.fit(arrays["X"], arrays["y"])

    fits = 2 * len(search.cv_results_["params"])
    answer = {
        "epochs": [[time.time(), fits * epochs]],
        "best": -float(search.best_score_),
        "params": {name.removeprefix(STEP): value for name, value in search.best_params_.items()},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
