"""The settings of each engine that `Study.engine_options` may give, by the names of its library.

Not listed is what the study says itself: seed, trials, epochs, objective, and how many resources a
halving search has.
"""

from __future__ import annotations

from collections.abc import Mapping

from tuning.study.engine_option import EngineOption

_COUNT = EngineOption(kind=int, least=1)
_NOT_NEGATIVE = EngineOption(kind=int, least=0)
_SHARE = EngineOption(kind=float, least=0.0, most=1.0)
_YES_OR_NO = EngineOption(kind=bool)

TPE: Mapping[str, EngineOption] = {
    "n_startup_trials": _NOT_NEGATIVE,
    "n_ei_candidates": _COUNT,
    "prior_weight": EngineOption(kind=float, least=0.0),
    "consider_endpoints": _YES_OR_NO,
    "multivariate": _YES_OR_NO,
    "group": _YES_OR_NO,
    "constant_liar": _YES_OR_NO,
}
CMAES: Mapping[str, EngineOption] = {
    "n_startup_trials": _NOT_NEGATIVE,
    "sigma0": EngineOption(kind=float, least=1e-12),
    "popsize": EngineOption(kind=int, least=2),
    "consider_pruned_trials": _YES_OR_NO,
    "use_separable_cma": _YES_OR_NO,
    "with_margin": _YES_OR_NO,
    "lr_adapt": _YES_OR_NO,
}
QMC: Mapping[str, EngineOption] = {
    "qmc_type": EngineOption(kind=str, words=("sobol", "halton")),
    "scramble": _YES_OR_NO,
}
NSGA2: Mapping[str, EngineOption] = {
    "population_size": EngineOption(kind=int, least=2),
    "mutation_prob": _SHARE,
    "crossover_prob": _SHARE,
    "swapping_prob": _SHARE,
}
GP: Mapping[str, EngineOption] = {
    "n_startup_trials": _COUNT,
    "deterministic_objective": _YES_OR_NO,
}
BAYESIAN: Mapping[str, EngineOption] = {
    "num_initial_points": _COUNT,
    "alpha": EngineOption(kind=float, least=0.0),
    "beta": EngineOption(kind=float, least=0.0),
}
HYPERBAND: Mapping[str, EngineOption] = {
    "factor": EngineOption(kind=int, least=2),
    "hyperband_iterations": _COUNT,
}
HALVING: Mapping[str, EngineOption] = {
    "factor": EngineOption(kind=int, least=2),
    "min_resources": EngineOption(kind=int, least=1, words=("exhaust", "smallest")),
    "aggressive_elimination": _YES_OR_NO,
}
