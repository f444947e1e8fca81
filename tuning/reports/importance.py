"""How much each parameter mattered, by Optuna's PED-ANOVA over an in-memory study made of our
results.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tuning.reports.summary import Trials
from tuning.study.domains import Choice, Domain, Float, Int
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.trial import Status

LEAST_TRIALS = 10


def importances(trials: Trials, space: Space, objective: Objective) -> dict[str, float]:
    """Return each parameter's share of the importance, the largest first; empty below
    `LEAST_TRIALS` completed trials.

    PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255) asks what the better trials have in common;
    it takes parameters that exist only in some trials, and one value out of range does not move it.
    """
    completed = [
        (p.params, r.value)
        for p, r in trials
        if r.status is Status.COMPLETED and r.value is not None
    ]
    if len(completed) < LEAST_TRIALS:
        return {}
    import optuna
    from optuna.importance import get_param_importances

    with _quiet_optuna():
        study = optuna.create_study(direction=objective.direction)
        study.add_trials(
            [optuna.trial.create_trial(value=v, **_point(params, space)) for params, v in completed]
        )
        if not any(trial.params for trial in study.get_trials(deepcopy=False)):
            return {}
        return dict(get_param_importances(study))


def _point(params: Any, space: Space) -> dict[str, Any]:
    """Return what is known of a point; a value that a changed space no longer has is left out."""
    known = {n: v for n, v in params.items() if n in space.domains and space[n].contains(v)}
    plain = {n: d.label_of(v) if isinstance(d := space[n], Choice) else v for n, v in known.items()}
    return {"params": plain, "distributions": {n: _distribution(space[n]) for n in known}}


def _distribution(domain: Domain) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Int):
        high = (
            domain.high - (domain.high - domain.low) % domain.step
        )  # as Optuna would, which warns while at it
        return IntDistribution(domain.low, high, log=domain.log, step=domain.step)
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    return CategoricalDistribution(domain.labels)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep Optuna from telling the user that it made a study."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
