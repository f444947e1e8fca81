"""California housing under Optuna's TPE, with `model.fit` in the objective."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import keras
import numpy as np
import optuna

ENDED: list[float] = []


def main(data: str, epochs: int, points: str, n_jobs: int) -> None:
    """Search at these points, JSON, in their order; `n_jobs` are threads, as Optuna has it."""
    arrays = np.load(data)
    validation = (arrays["X_validation"], arrays["y_validation"])

    def objective(trial: optuna.Trial) -> float:
        # The space and the model of the study `housing`.
        model = keras.Sequential([keras.layers.Input(shape=(8,))])
        n_neurons = trial.suggest_int("n_neurons", 20, 150)
        for _ in range(trial.suggest_int("n_hidden", 1, 3)):
            model.add(keras.layers.Dense(n_neurons, activation="relu"))
        model.add(keras.layers.Dense(1))
        lr = trial.suggest_float("lr", 3e-4, 1e-2, log=True)
        model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate=lr))

        batch = trial.suggest_categorical("batch_size", [32, 64, 128])
        count = keras.callbacks.LambdaCallback(on_epoch_end=_note)
        history = model.fit(
            arrays["X"],
            arrays["y"],
            validation_data=validation,
            batch_size=batch,
            epochs=epochs,
            verbose=0,
            callbacks=[count],
        )
        return float(np.sqrt(history.history["val_loss"][-1]))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=42))
    chosen = json.loads(points)
    for point in chosen:
        study.enqueue_trial(point)
    study.optimize(objective, n_trials=len(chosen), n_jobs=n_jobs)

    epochs_ended = [[at, i + 1] for i, at in enumerate(ENDED)]
    print(json.dumps({"epochs": epochs_ended, "best": study.best_value}))


def _note(epoch: int, logs: Any) -> None:
    ENDED.append(time.time())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
