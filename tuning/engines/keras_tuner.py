"""KerasTuner's oracles through create, update and end of a trial.

Its tuners, its loop and its files are not used. Importing this module imports TensorFlow: it
belongs into the engine process.
"""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import keras_tuner

from tuning.engines import keras_tuner_oracles as oracles
from tuning.engines.grid_points import CUT, grid_points
from tuning.engines.keras_tuner_internals import (
    Condition,
    draws_made,
    mark_as_tried,
    take_back_draws,
)
from tuning.engines.memory.keras_tuner_memory import OracleMemory
from tuning.engines.memory.memory import Entries
from tuning.space.domains import Choice, Domain, Float
from tuning.space.space import Space
from tuning.study.engine_spec import require_kinds
from tuning.study.study import Study
from tuning.study.unit_cube import engine_seed, initial_points
from tuning.trial import EpochReport, Pause, Proposal, Status, TrialResult

FACTOR = 3  # Hyperband keeps one trial in three

# FAILED and not INVALID, which would have the trial made again. Nothing prunes here, so PRUNED is
# not in the table.
_STATES = {
    Status.COMPLETED: "COMPLETED",
    Status.FAILED: "FAILED",
    Status.DIVERGED: "FAILED",
    Status.INFEASIBLE: "FAILED",
}
_PAUSES = {"IDLE": Pause.WAIT, "STOPPED": Pause.EXHAUSTED}

_Settings: TypeAlias = Mapping[str, Any]  # keyword arguments of an oracle


_OWN = "engine"
"""In the engine's memory: what this adapter knows itself."""


class KerasTunerEngine:
    """One oracle. Each ask has a tuner id of its own, so that several trials may be open."""

    def __init__(self, study: Study) -> None:
        kind = study.engine.removeprefix("keras-tuner:")
        self._space = _cut(study.space) if kind == "grid" else study.space
        self._metric = study.objective.metric
        self._epochs_of = study.epochs_of
        self._open: dict[int, Any] = {}
        self._numbers: dict[str, int] = {}  # the oracle's trial id -> our number
        with _quiet():
            self._oracle, self.notices = _make_oracle(kind, study, self._space)
            self._oracle.verbose = 0
            points = initial_points(study)
            self._oracle.first_points = tuple(self._space.labelled(point) for point in points)
        # A grid's oracle also knows in which order its points come; asking it again takes no time.
        self._memory = None if kind == "grid" else OracleMemory(self._oracle)

    def ask(self, number: int) -> Proposal | Pause:
        """Return the proposal that will carry `number`; a promotion names what it continues."""
        draws = draws_made(self._oracle)
        with _quiet():
            trial = self._create(f"ask-{number}")
        if trial.status in _PAUSES:
            # What was drawn in vain, in a space with few points left, must not shift later draws: a
            # replay knows only the asks that were answered.
            take_back_draws(self._oracle, draws)
            return _PAUSES[trial.status]

        self._open[number] = trial
        self._numbers[trial.trial_id] = number
        self._touch(number)
        values = trial.hyperparameters.values
        params = {
            name: _decode(domain, values[name])
            for name, domain in self._space.domains.items()
            if name in values
        }
        parent = None
        if oracles.TRIAL_ID in values:
            parent = self._numbers[values[oracles.TRIAL_ID]]
        return Proposal(number, params, values.get(oracles.EPOCHS, self._epochs_of(params)), parent)

    def _create(self, tuner: str) -> Any:
        trial = self._oracle.create_trial(tuner)
        if not isinstance(self._oracle, oracles.Grid) or trial.status != "RUNNING":
            return trial
        if self._oracle.keeps(trial.hyperparameters.values):
            return trial
        # The grid's first point, which the oracle makes in any case.
        self._end(trial, "FAILED")
        return self._oracle.create_trial(tuner)

    def adopt(self, proposal: Proposal) -> bool:
        """Write the parameters over those of the open trial."""
        if isinstance(self._oracle, oracles.Grid):
            return False  # its points are known: another order would leave some out
        values = self._open[proposal.number].hyperparameters.values
        for name in self._space:
            values.pop(name, None)
        values.update(self._space.labelled(proposal.params))
        mark_as_tried(self._oracle, values)
        self._touch(proposal.number)
        return True

    def report(self, report: EpochReport) -> bool:
        """Nothing here is stopped early; Hyperband decides between rungs."""
        return False

    def tell(self, result: TrialResult) -> None:
        """Take how a trial ended."""
        self._touch(result.number)
        trial = self._open.pop(result.number)
        with _quiet():
            if result.status is Status.COMPLETED:
                values = {self._metric: result.value}
                self._oracle.update_trial(trial.trial_id, values, step=result.epochs)
            self._end(trial, _STATES[result.status])

    def _end(self, trial: Any, state: str) -> None:
        trial.status = state
        self._oracle.end_trial(trial)

    def memory(self) -> Entries | None:
        """Return what has changed of oracle and trials; None: a grid."""
        if self._memory is None:
            return None
        own = (list(self._open), len(self._oracle.first_points))
        return {**self._memory.changes(), _OWN: pickle.dumps(own)}

    def restore(self, entries: Entries) -> None:
        """Know what an earlier process knew; the next ask is its next."""
        assert self._memory is not None  # noqa: S101 - a grid has given no entries
        numbers, n_first_points = pickle.loads(entries[_OWN])  # noqa: S301 - of `memory`
        n_asked = len(self._oracle.first_points) - n_first_points
        self._oracle.first_points = self._oracle.first_points[n_asked:]
        with _quiet():
            trials = self._memory.restore(entries)
        self._numbers = {trial.trial_id: number for number, trial in trials.items()}
        self._open = {number: self._oracle.trials[trials[number].trial_id] for number in numbers}

    def _touch(self, number: int) -> None:
        if self._memory is not None:
            self._memory.touch(self._open[number], number)

    def artifacts(self) -> Mapping[str, str]:
        """Nothing: the trials themselves are all there is."""
        return {}

    def close(self) -> None:
        """Nothing to end."""


def hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    """Return the whole space up front, conditions included.

    A parameter none of whose conditions can hold (in a grid that was cut) is left out.
    """
    whole = keras_tuner.HyperParameters()
    names: set[str] = set()
    for name, domain in space.domains.items():
        conditions = [_condition(space, parent, values) for parent, values in domain.conditions]
        parents = {parent for parent, _ in domain.conditions}
        if parents <= names and None not in conditions:
            whole.merge([_hyperparameter(name, domain, conditions)])
            names.add(name)
    return whole


def _condition(space: Space, parent: str, values: tuple[Any, ...]) -> Condition | None:
    domain = space[parent]
    possible = [value for value in values if domain.contains(value)]
    if isinstance(domain, Choice):
        possible = [domain.label_of(value) for value in possible]
    return Condition(parent, possible) if possible else None


def _hyperparameter(name: str, domain: Domain, conditions: list[Condition | None]) -> Any:
    kinds = keras_tuner.engine.hyperparameters
    if isinstance(domain, Choice):
        return kinds.Choice(name, list(domain.labels), conditions=conditions)

    settings = {
        "min_value": domain.low,
        "max_value": domain.high,
        "sampling": "log" if domain.log else "linear",
        "conditions": conditions,
    }
    if isinstance(domain, Float):
        return kinds.Float(name, **settings, step=domain.step)
    return kinds.Int(name, **settings, step=None if domain.log else domain.step)


def _decode(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.value_of(value)
    # The ends of an acquisition's bounds: a log Int gives high + 1 there, a log Float high × (1 +
    # 1e-16).
    inside = min(max(value, domain.low), domain.high)
    return domain.on_step(inside) if isinstance(domain, Float) else domain.decode(inside)


def _cut(space: Space) -> Space:
    """Return the grid's axes as choices; left alone the oracle would take ten points of a Float."""
    axes = {
        name: Choice(*domain.cut(CUT), conditions=domain.conditions)
        for name, domain in space.domains.items()
    }
    return Space(axes)


class _Made(NamedTuple):
    """An oracle, and what the user should know of it."""

    oracle: Any
    notices: tuple[str, ...]


def _make_oracle(kind: str, study: Study, space: Space) -> _Made:
    direction = study.objective.direction[:3]
    settings = {
        "objective": keras_tuner.Objective(study.objective.metric, direction),
        "hyperparameters": hyperparameters(space),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": engine_seed(study) or 1,  # 0 would be replaced by a random one
        "max_retries_per_trial": 0,
        # When reached it raises with its lock held; the limits are the driver's.
        "max_consecutive_failed_trials": 10**9,
    }
    return ORACLES[kind](study, space, settings)


# Without max_trials: the driver counts, and a search that is resumed may get more.


def _random(study: Study, space: Space, settings: _Settings) -> _Made:
    return _Made(oracles.Random(max_trials=None, **settings), ())


def _bayesian(study: Study, space: Space, settings: _Settings) -> _Made:
    random = _random_points(study)
    own = {**study.engine_options, "num_initial_points": random}
    oracle = oracles.Bayesian(max_trials=None, **own, **settings)
    return _Made(oracle, (f"bayesian: trials are random until {random} have completed",))


def _hyperband(study: Study, space: Space, settings: _Settings) -> _Made:
    oracle = oracles.Hyperband(
        max_epochs=study.epochs,
        **{"factor": FACTOR, "hyperband_iterations": 1, **study.engine_options},
        **settings,
    )
    return _Made(oracle, (_rungs(oracle, study.trials),))


def _grid(study: Study, space: Space, settings: _Settings) -> _Made:
    points, notices, _ = grid_points(study)
    labels = [space.labelled(point) for point in points]
    return _Made(oracles.Grid(labels, **settings), notices)


ORACLES: dict[str, Callable[[Study, Space, _Settings], _Made]] = {
    "random": _random,
    "bayesian": _bayesian,
    "hyperband": _hyperband,
    "grid": _grid,
}
"""Of each `keras-tuner:<kind>`, from the study, the space it searches and common settings."""

require_kinds("KerasTuner", ORACLES)


def _random_points(study: Study) -> int:
    """Return KerasTuner's three points a dimension, but at most half of the budget.

    Else all trials might be random.
    """
    own: int | None = study.engine_options.get("num_initial_points")
    if own is not None:
        return own
    usual = 3 * len(study.space)
    if study.trials is None:
        return usual
    return max(3, min(usual, study.trials // 2))


def _rungs(oracle: oracles.Hyperband, trials: int | None) -> str:
    """Say how many trials a full set of brackets has."""
    sizes = oracle.rung_sizes()
    total = sum(map(sum, sizes))
    fresh = sum(rungs[0] for rungs in sizes)
    brackets = f"{len(sizes)} bracket{'s' if len(sizes) > 1 else ''}"
    text = (
        f"hyperband: {brackets}, {total} trials in all ({fresh} fresh, {total - fresh} continued)"
    )
    if trials is None or trials >= total:
        return text
    return f"{text}; --trials {trials} ends it early"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence deprecated calls and a regressor's complaints about few points, only here."""
    with warnings.catch_warnings():
        for module in (r"keras_tuner\.", r"sklearn\.", r"scipy\."):
            warnings.filterwarnings("ignore", module=module)
        yield
