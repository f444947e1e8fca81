"""The names a study may use: engines and their kinds, pruners, metrics, and the arguments that are
filled in.
"""

from __future__ import annotations

SCIKIT_ENGINES = (
    "gridsearchcv",
    "randomizedsearchcv",
    "halvinggridsearchcv",
    "halvingrandomsearchcv",
)
OPTUNA_ENGINES = tuple(
    f"optuna:{name}" for name in ("tpe", "random", "cmaes", "qmc", "nsga2", "gp", "grid")
)
KERAS_TUNER_ENGINES = tuple(
    f"keras-tuner:{name}" for name in ("random", "bayesian", "hyperband", "grid")
)
ENGINES = (*SCIKIT_ENGINES, *OPTUNA_ENGINES, *KERAS_TUNER_ENGINES, "capacity")
# Here `trials` shapes what is proposed (sampled grids, random starts, generations), so it is part
# of the definition; for the others it is a budget that a later run may extend.
BUDGET_BOUND = (
    *SCIKIT_ENGINES,
    "optuna:grid",
    "optuna:nsga2",
    "keras-tuner:grid",
    "keras-tuner:bayesian",
)
ENDLESS = (
    *OPTUNA_ENGINES[:-1],
    "keras-tuner:bayesian",
    "randomizedsearchcv",
    "halvingrandomsearchcv",
)
# Those that begin with the points of `Study.initial`; the others choose their first points by a
# plan of their own.
TAKE_INITIAL = (*OPTUNA_ENGINES[:-1], "keras-tuner:random", "keras-tuner:bayesian")
PRUNERS = ("none", "median", "asha", "hyperband")
FIT_PARAMETERS = ("batch_size",)
BETTER = {
    "loss": "minimize",
    "rmse": "minimize",
    "mae": "minimize",
    "r2": "maximize",
    "accuracy": "maximize",
    "auc": "maximize",
}
METRICS = tuple(BETTER)
FROM_DATA = ("input_shape", "task", "n_outputs")
