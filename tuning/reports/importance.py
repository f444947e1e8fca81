"""How much each parameter mattered: PED-ANOVA, over an Optuna study made of our results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tuning.reports.summary import Trials
from tuning.space.domains import Choice, Domain, Float, Int
from tuning.space.space import Space
from tuning.study.objective import Objective
from tuning.trial import Params, Status

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

LEAST_TRIALS = 10
"""Completed trials below which importances are not shown."""


def importances(trials: Trials, space: Space, objective: Objective) -> dict[str, float]:
    """Return each parameter's share of the importance, the largest first.

    PED-ANOVA asks what the better trials have in common; it takes parameters that exist only in
    some trials, and one value out of range does not move it. Empty below `LEAST_TRIALS` completed
    trials.

    Source: Watanabe et al. 2023, arXiv:2304.10255.
    """
    completed = []
    for proposal, result in trials:
        if result.status is Status.COMPLETED and result.value is not None:
            completed.append((proposal.params, result.value))
    if len(completed) < LEAST_TRIALS:
        return {}

    import optuna
    from optuna.importance import get_param_importances

    with _quiet_optuna():
        study = optuna.create_study(direction=objective.direction)
        study.add_trials([_frozen_trial(params, value, space) for params, value in completed])
        if not any(trial.params for trial in study.get_trials(deepcopy=False)):
            return {}
        return dict(get_param_importances(study))


def _frozen_trial(params: Params, value: float, space: Space) -> FrozenTrial:
    """Return a trial as Optuna has it; a value that a changed space no longer has is left out."""
    import optuna

    plain: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for name, chosen in params.items():
        if name not in space.domains or not space[name].contains(chosen):
            continue
        domain = space[name]
        plain[name] = domain.label_of(chosen) if isinstance(domain, Choice) else chosen
        distributions[name] = _distribution(domain)
    return optuna.trial.create_trial(value=value, params=plain, distributions=distributions)


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Int):
        # The last value on the steps. Optuna would take it by itself, with a warning.
        high = domain.high - (domain.high - domain.low) % domain.step
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
