"""Optuna's samplers and pruners through ask and tell, on a study in memory."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from tuning.engines.grid_points import GridPoints, grid_points
from tuning.engines.memory.memory import Entries
from tuning.engines.memory.optuna_internals import open_trial
from tuning.engines.memory.optuna_memory import OptunaMemory
from tuning.errors import MissingError
from tuning.scoring.stand_ins import StandIns
from tuning.space.domains import Choice, Domain, Float
from tuning.space.space import Space
from tuning.study.engine_spec import engine_spec, require_installed, require_kinds
from tuning.study.study import Study
from tuning.study.study_fields import PRUNERS
from tuning.study.unit_cube import engine_seed, initial_points
from tuning.trial import EpochReport, Params, Pause, Proposal, Status, TrialResult

_STATES = {
    Status.COMPLETED: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,  # Optuna takes the last value reported
    Status.FAILED: TrialState.FAIL,
    Status.DIVERGED: TrialState.FAIL,
    # With FAIL, TPE forgets the point and proposes it again (optuna#332); with a violated
    # constraint it avoids it.
    Status.INFEASIBLE: TrialState.PRUNED,
}

_OWN = "engine"
"""In the engine's memory: what this adapter knows itself."""


class OptunaEngine:
    """One Optuna sampler, and with `study.pruner` one of its pruners. Trials carry our numbers.

    Raises:
        MissingError: `optuna:gp` without PyTorch.
    """

    def __init__(self, study: Study) -> None:
        self._space = study.space
        self._epochs_of = study.epochs_of
        self._epochs: dict[int, int] = {}  # open trial -> its last epoch
        self._limits = tuple(study.constraints)
        self._objectives = tuple(study.objectives) or (study.objective,)
        self._stand_ins = StandIns(self._objectives)
        self._next_number = 0
        self._open: dict[int, optuna.Trial] = {}
        self._last_epochs: dict[int, int] = {}  # open trial -> last epoch reported
        self._pruned_at: dict[int, int] = {}  # open trial -> epoch

        kind = study.engine.removeprefix("optuna:")
        self._constrained = kind != "cmaes"  # it warns of a constraint and ignores it
        # Plain random sampling has nothing to say, and silence costs a tenth of its time.
        self._quiet = contextlib.nullcontext if kind == "random" else _quiet
        self._points: Sequence[Params] | None = None
        if kind == "grid":
            self._points, self.notices, _ = _shuffled_grid(study)
        else:
            self.notices = _remarks(kind, study)

        with _quiet():
            sampler = make_sampler(kind, study)
            self._empty_study = partial(
                optuna.create_study,
                # Hyperband's brackets are drawn from this name and the number: it must be the same
                # after a crash.
                study_name=f"{study.name} {study.engine}",
                directions=[objective.direction for objective in self._objectives],
                sampler=sampler,
                pruner=make_pruner(study.pruner, study.epochs),
            )
            self._study = self._empty_study()
            for point in initial_points(study) if self._points is None else ():
                self._study.enqueue_trial(study.space.labelled(point))
        self._memory = OptunaMemory(self._study) if _has_memory(kind, study) else None

    def ask(self, number: int) -> Proposal | Pause:
        """Return the proposal that will carry `number`; grids end, the samplers never do."""
        if number != self._next_number:
            raise ValueError(
                f"asks come in order: expected trial {self._next_number}, got {number}"
            )
        if self._points is not None and number >= len(self._points):
            return Pause.EXHAUSTED

        with self._quiet():
            if self._points is not None:
                self._study.enqueue_trial(self._space.labelled(self._points[number]))
            trial = self._study.ask()
            params = _suggest(trial, self._space)
        self._next_number += 1
        self._open[number] = trial
        self._touch(trial)  # one that was waiting is not new
        self._epochs[number] = self._epochs_of(params)
        return Proposal(number, params, self._epochs[number])

    def adopt(self, proposal: Proposal) -> bool:
        """Take a point as one of the user's, in place of what was sampled."""
        if self._points is not None:
            return False  # its points are known: another order would leave some out
        with self._quiet():
            sampled = self._open[proposal.number]
            self._study.tell(sampled, state=TrialState.FAIL)  # samplers forget it
            self._study.enqueue_trial(self._space.labelled(proposal.params))
            trial = self._study.ask()
            self._touch(sampled)
            self._touch(trial)
            self._open[proposal.number] = trial
            self._epochs[proposal.number] = proposal.epochs
            return _suggest(trial, self._space) == proposal.params

    def report(self, report: EpochReport) -> bool:
        """Take one epoch; NaN is taken too, every pruner but `none` stops it when its turn comes.

        After its last epoch a trial is complete whatever a pruner thinks of it: nothing is left to
        be saved.
        """
        number = report.number
        epoch = report.epoch
        # Else another attempt repeats what was judged, which Optuna warns of.
        if epoch > self._last_epochs.get(number, 0):
            self._last_epochs[number] = epoch
            trial = self._open[number]
            trial.report(report.value, step=epoch)
            self._touch(trial)
            is_over = number in self._pruned_at or epoch >= self._epochs[number]
            if not is_over and trial.should_prune():
                self._pruned_at[number] = epoch
        return epoch >= self._pruned_at.get(number, epoch + 1)

    def tell(self, result: TrialResult) -> None:
        """Take how a trial ended; out of memory becomes a violated constraint."""
        trial = self._open.pop(result.number)
        self._last_epochs.pop(result.number, None)
        self._pruned_at.pop(result.number, None)
        self._epochs.pop(result.number)
        state = _STATES[result.status]
        values = None
        if result.status is Status.COMPLETED:
            values = self._stand_ins.learn(result)

        if result.breaks_constraint and self._constrained:
            values = self._stand_ins.values_of(result)
            state = TrialState.PRUNED if values is None else TrialState.COMPLETE
        elif result.status is Status.INFEASIBLE and self._constrained:
            trial.set_constraint("memory", 1.0)
        if result.violations and self._constrained:
            # Each, or the Gaussian process refuses; what was not looked at stands at its limit.
            for name in self._limits:
                trial.set_constraint(name, result.violations.get(name, 0.0))
        self._study.tell(trial, values, state=state)
        self._touch(trial)

    def memory(self) -> Entries | None:
        """Return what has changed of study, sampler and open trials."""
        if self._memory is None:
            return None
        own = (
            self._next_number,
            {number: trial.number for number, trial in self._open.items()},
            self._epochs,
            self._last_epochs,
            self._pruned_at,
            self._stand_ins.worst,
        )
        return {**self._memory.changes(), _OWN: pickle.dumps(own)}

    def restore(self, entries: Entries) -> None:
        """Know what an earlier process knew; the next ask is its next."""
        own = pickle.loads(entries[_OWN])  # noqa: S301 - of `memory`, held by our own driver
        self._next_number, numbers, self._epochs, self._last_epochs, self._pruned_at, worst = own
        self._stand_ins.worst = worst
        with _quiet():
            self._study = self._empty_study()  # points that were to be asked are in the entries
            self._memory = OptunaMemory(self._study)
            self._memory.restore(entries)
            self._open = {
                number: open_trial(self._study, place) for number, place in numbers.items()
            }
            self._memory.restore_random(entries)

    def _touch(self, trial: optuna.Trial) -> None:
        if self._memory is not None:
            self._memory.touch(trial)

    def artifacts(self) -> Mapping[str, str]:
        """Nothing: the trials themselves are all there is."""
        return {}

    def close(self) -> None:
        """Nothing to end."""


def _has_memory(kind: str, study: Study) -> bool:
    """Whether the sampler keeps nothing but random states and what follows from its trials.

    A Gaussian process begins with what it has fitted last, TPE's `group` with the groups in the
    order in which trials ended.
    """
    return kind != "gp" and not study.engine_options.get("group")


def make_sampler(kind: str, study: Study) -> optuna.samplers.BaseSampler:
    """Return the sampler of `optuna:<kind>`, seeded from the study."""
    return SAMPLERS[kind](study, engine_seed(study))


def _tpe(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    # Optuna 5's defaults: multivariate, and open trials count as bad (constant_liar). Measured on a
    # space with conditions, 40 trials, mean best of 30 seeds ± 0.05, 4 trials open: 0.56; without
    # constant_liar 0.73 (with `group`), univariate 0.72. `group`, experimental and meant for
    # conditions, gives 0.60, and with one open trial 0.57 against 0.58: no difference, so it is
    # left off.
    settings = {"multivariate": True, "constant_liar": True, **study.engine_options}
    return optuna.samplers.TPESampler(seed=seed, **settings)


def _random(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _cmaes(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    settings = {"warn_independent_sampling": False, **study.engine_options}
    return optuna.samplers.CmaEsSampler(seed=seed, **settings)


def _qmc(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    settings = {"scramble": True, "warn_independent_sampling": False, **study.engine_options}
    return optuna.samplers.QMCSampler(seed=seed, **settings)


def _nsga2(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.NSGAIISampler(
        seed=seed, **{**study.engine_options, "population_size": _population(study)}
    )


def _gp(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    require_installed(engine_spec("optuna:gp"))
    return optuna.samplers.GPSampler(
        seed=seed, **{"warn_independent_sampling": False, **study.engine_options}
    )


Sampler: TypeAlias = Callable[[Study, int], optuna.samplers.BaseSampler]

SAMPLERS: dict[str, Sampler] = {
    "tpe": _tpe,
    "random": _random,
    "cmaes": _cmaes,
    "qmc": _qmc,
    "nsga2": _nsga2,
    "gp": _gp,
    "grid": _random,  # never asked: the points of a grid are enqueued
}
"""Of each `optuna:<kind>`, from the study and the seed."""


def make_pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """Return the pruner; steps are epochs from 1, at most `epochs`.

    asha judges at epochs r, 3r, 9r, 27r with r = max(1, epochs // 27); hyperband at 1, 3, 9, … by
    bracket; median from a tenth of the epochs on, once five trials have ended.
    """
    return PRUNER_MAKERS[name](epochs)


def _no_pruner(epochs: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.NopPruner()


def _median(epochs: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 10))


def _asha(epochs: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=max(1, epochs // 27), reduction_factor=3
    )


def _hyperband(epochs: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)


PRUNER_MAKERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "none": _no_pruner,
    "median": _median,
    "asha": _asha,
    "hyperband": _hyperband,
}

require_kinds("Optuna", SAMPLERS)
if set(PRUNER_MAKERS) != set(PRUNERS):
    raise MissingError(f"a study may name the pruners {PRUNERS}, there are {tuple(PRUNER_MAKERS)}")


def _suggest(trial: optuna.Trial, space: Space) -> Params:
    params: dict[str, Any] = {}
    for name, domain in space.domains.items():  # parents first
        if domain.exists_under(params):
            params[name] = _suggest_one(trial, name, domain)
    return params


def _suggest_one(trial: optuna.Trial, name: str, domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return domain.value_of(trial.suggest_categorical(name, domain.labels))
    if isinstance(domain, Float):
        if domain.step is None:
            return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
        # To the last value on a step, as for whole numbers.
        last = domain.on_step(domain.high)
        value = trial.suggest_float(name, domain.low, last, step=domain.step)
        return domain.on_step(value)
    # The highest value on a step: Optuna would warn and take the same.
    high = domain.high - (domain.high - domain.low) % domain.step
    return trial.suggest_int(name, domain.low, high, step=domain.step, log=domain.log)


def _shuffled_grid(study: Study) -> GridPoints:
    # Shuffled as Optuna's own GridSampler does, so that a search that is cut short has not seen one
    # corner only. That sampler takes no conditions; points that we enqueue may have them.
    points, notices, n_known = grid_points(study)
    rng = np.random.default_rng(engine_seed(study))
    order = n_known + rng.permutation(len(points) - n_known)
    return GridPoints([*points[:n_known], *(points[i] for i in order)], notices)


def _population(study: Study) -> int:
    """Return NSGA-II's population: Optuna's 50, or less so that five generations fit.

    The study's own where it gives one.
    """
    own: int | None = study.engine_options.get("population_size")
    if own is not None:
        return own
    trials = study.trials
    return 50 if trials is None else min(50, max(4, trials // 5))


def _remarks(kind: str, study: Study) -> tuple[str, ...]:
    """Say what of the study this sampler does not search as the user might expect."""
    if kind == "nsga2":
        return (f"nsga2: generations of {_population(study)} trials; the first is random",)
    if kind not in ("cmaes", "qmc", "gp"):
        return ()

    # These three sample one fixed space; Optuna draws what is not always in it by itself.
    apart = []
    for name, domain in study.space.domains.items():
        if domain.conditions or (kind == "cmaes" and isinstance(domain, Choice)):
            apart.append(name)
    if not apart:
        return ()
    reason = "Choice or conditional" if kind == "cmaes" else "conditional"
    return (f"{kind}: {', '.join(apart)} ({reason}) drawn at random, apart from the others",)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's announcements and warnings on experimental parts from the user, only here."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
