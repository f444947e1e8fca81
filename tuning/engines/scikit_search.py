"""A study as one of scikit-learn's own search objects: grids, distributions, rounds of halving,
scorer, folds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tuning.data.dataset import Array, Task
from tuning.data.parts import Parts, folds
from tuning.engines.grid_points import grid_points
from tuning.engines.scikit_internals import dispatch_at_once
from tuning.errors import StudyError
from tuning.study.builder_arguments import FROM_DATA
from tuning.study.domains import Choice, Domain
from tuning.study.engine_spec import require_kinds
from tuning.study.objective import METRICS
from tuning.study.space import Space
from tuning.study.study import Study, derive_seed

FACTOR = 3  # scikit-learn's default: each round keeps a third and trains three times as long
MOST_BRANCHES = 10_000
MOST_PLANNED = 1_000

_Settings: TypeAlias = Mapping[str, Any]  # keyword arguments of a search class


@dataclass(frozen=True)
class ObjectiveScorer:
    """The study's objective as scikit-learn's scorer: greater is better."""

    name: str
    task: Task
    sign: int

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Return the signed objective of a fitted estimator on X, y; NaN where a prediction is not
        finite.
        """
        from tuning.trials.metrics import score

        if self.name in METRICS and self.name != "loss":
            return self.sign * score(self.name, self.task, y, estimator._predict_raw(X))
        prepared, encoded = estimator._prepared(np.asarray(X)), estimator._encoded(np.asarray(y))
        return self.sign * float(
            estimator.model_.evaluate(prepared, encoded, verbose=0, return_dict=True)[self.name]
        )


@dataclass(frozen=True)
class Draw:
    """One axis as scikit-learn's samplers want it: an object with `rvs`."""

    domain: Domain

    def rvs(self, random_state: np.random.RandomState) -> Any:
        """Draw a value, of Python's own type."""
        return self.domain.sample(np.random.default_rng(random_state.randint(2**31)))


@lru_cache(maxsize=2)
def arrays_of(parts: Parts, cv: int | None) -> Mapping[str, Array]:
    """Return what every fit of a search needs, by name: X, y and the rows of each fold; equal in
    all processes.

    X is not scaled: each fit scales by what it trains on. Without `cv` the one fold is the study's
    own split.
    """
    part = parts.search_part
    if cv is None:
        n_train = len(parts.train)
        rows = [(np.arange(n_train), np.arange(n_train, len(part)))]
    else:
        rows = folds(part.y, cv, parts.task)
    named = {
        f"{kind}-{k}": pair[i]
        for k, pair in enumerate(rows)
        for i, kind in enumerate(("train", "test"))
    }
    return {"X": part.X, "y": part.y, **named}


def make_estimator(study: Study, parts: Parts) -> Any:
    """Return the estimator all candidates are clones of."""
    from tuning.estimators.fold_scaler import FoldScaler
    from tuning.estimators.wrappers import KerasClassifier, KerasRegressor

    kind = KerasRegressor if parts.task == "regression" else KerasClassifier
    known = {"input_shape": parts.input_shape, "task": parts.task, "n_outputs": parts.n_outputs}
    arguments, to_fit = study.split_params(study.fixed)
    named = set(kind(study.builder).get_params())
    filled = {
        n: known[n]
        for n in FROM_DATA
        if n in named and n not in study.fixed and n not in study.space
    }
    return kind(
        study.builder,
        epochs=study.epochs,
        patience=study.patience,
        preprocessor=FoldScaler(parts.columns) if parts.scale else None,
        trainer="auto"
        if study.trainer == "function"
        else study.trainer,  # of a function no estimator is fitted
        random_state=derive_seed(study.seed, "training"),
        **{**filled, **arguments, **to_fit},
    )


class ScikitSearch(NamedTuple):
    """scikit-learn's search object, not fitted, and the notices on what the study became."""

    search: Any
    notices: tuple[str, ...]


def make_search(study: Study, parts: Parts) -> ScikitSearch:
    """Return the search object of a study's engine.

    Raises:
        StudyError: Its grid is too large, or its conditions have too many branches.
    """
    arrays = arrays_of(parts, study.cv)
    sign = -1 if study.objective.direction == "minimize" else 1
    settings = {
        "estimator": make_estimator(study, parts),
        "scoring": ObjectiveScorer(study.objective.name, parts.task, sign),
        "cv": [(arrays[f"train-{k}"], arrays[f"test-{k}"]) for k in range(study.cv or 1)],
        "refit": False,  # the winner is trained by us, on fresh seeds
        "error_score": np.nan,
    }
    return SEARCHES[study.engine](study, settings)


def _grid_search(study: Study, settings: _Settings) -> ScikitSearch:
    from sklearn.model_selection import GridSearchCV

    grid, notices = _grid(study)
    return ScikitSearch(GridSearchCV(param_grid=grid, pre_dispatch="all", **settings), notices)


def _randomized_search(study: Study, settings: _Settings) -> ScikitSearch:
    from sklearn.model_selection import RandomizedSearchCV

    search = RandomizedSearchCV(
        param_distributions=distributions(study.space),
        n_iter=_trials(study),
        random_state=derive_seed(study.seed, "engine"),
        pre_dispatch="all",
        **settings,
    )
    if study.trials is not None:
        return ScikitSearch(search, ())
    return ScikitSearch(search, (f"random: at most {MOST_PLANNED} trials until the timeout",))


def _halving_grid_search(study: Study, settings: _Settings) -> ScikitSearch:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - the import below needs it
    from sklearn.model_selection import HalvingGridSearchCV

    grid, n, notices = _grid_for_halving(study)
    search = HalvingGridSearchCV(param_grid=grid, **_halving(study), **settings)
    return ScikitSearch(dispatch_at_once(search), (*notices, halving_remark(n, study)))


def _halving_random_search(study: Study, settings: _Settings) -> ScikitSearch:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - the import below needs it
    from sklearn.model_selection import HalvingRandomSearchCV

    n = candidates_within(_trials(study), study.epochs)
    search = HalvingRandomSearchCV(
        param_distributions=distributions(study.space),
        n_candidates=n,
        **_halving(study),
        **settings,
    )
    return ScikitSearch(dispatch_at_once(search), (halving_remark(n, study),))


def _halving(study: Study) -> _Settings:
    """Return what both halving classes are given."""
    return {
        "resource": "epochs",
        "max_resources": study.epochs,
        "min_resources": "exhaust",
        "factor": FACTOR,
        "return_train_score": False,
        "random_state": derive_seed(study.seed, "engine"),
    }


SEARCHES: dict[str, Callable[[Study, _Settings], ScikitSearch]] = {
    "gridsearchcv": _grid_search,
    "randomizedsearchcv": _randomized_search,
    "halvinggridsearchcv": _halving_grid_search,
    "halvingrandomsearchcv": _halving_random_search,
}
"""Of each engine, from the study and what all four classes are given."""

require_kinds("scikit-learn", SEARCHES)


def distributions(space: Space) -> dict[str, Any] | list[dict[str, Any]]:
    """Return what scikit-learn draws from: a list where a value is chosen, else an object with
    `rvs`.

    With conditions one mapping for each combination of the parents' values, each as likely as the
    others; a parent on a log scale is drawn evenly here.

    Raises:
        StudyError: More than 10,000 combinations.
    """
    if not space.conditional:
        return {name: _axis(space[name]) for name in space}
    parents = [
        n
        for n in space
        if any(n == parent for d in space.domains.values() for parent, _ in d.conditions)
    ]
    size = math.prod(len(space[name].cut(None)) for name in parents)
    if size > MOST_BRANCHES:
        raise StudyError(
            f"space: the conditions depend on {size:,} combinations of {', '.join(parents)}; "
            "use Optuna"
        )
    return [
        _branch(space, dict(zip(parents, values, strict=True)))
        for values in _product(space, parents)
    ]


def rounds(n: int, epochs: int) -> list[tuple[int, int]]:
    """Return (candidates, epochs) of each round that scikit-learn makes of `n` candidates,
    min_resources="exhaust".
    """
    needed = 1 + math.floor(math.log(n, FACTOR))
    least = max(1, epochs // FACTOR ** (needed - 1))
    possible = 1 + math.floor(math.log(epochs // least, FACTOR))
    found = []
    for i in range(min(needed, possible)):
        found.append((n, min(FACTOR**i * least, epochs)))
        n = math.ceil(n / FACTOR)
    return found


def candidates_within(trials: int, epochs: int) -> int:
    """Return how many candidates a halving search can begin with so that all its rounds together
    are `trials`.
    """
    fitting = (
        n for n in range(trials, 0, -1) if sum(size for size, _ in rounds(n, epochs)) <= trials
    )
    return next(fitting, 1)


def trials_within(total: float, epochs: int) -> int:
    """Return the trials of the halving search with most candidates whose rounds all end within
    `total` epochs.
    """
    best = 1
    for n in range(1, max(2, int(total))):
        made = rounds(n, epochs)
        if sum(size * each for size, each in made) <= total:
            best = sum(size for size, _ in made)
    return best


def halving_remark(n: int, study: Study) -> str:
    """Say what the rounds are."""
    made = rounds(n, study.epochs)
    sizes, epochs = " + ".join(str(size) for size, _ in made), ", ".join(str(e) for _, e in made)
    return f"halving: {sizes} trials of {epochs} epochs, each rung trained from zero"


def _grid(study: Study) -> tuple[Any, tuple[str, ...]]:
    """Return the grid as one mapping where that is possible, else a list of one-point grids."""
    points, notices = grid_points(study)
    axes = {name: study.space[name].cut() for name in study.space}
    if not study.space.conditional and len(points) == math.prod(map(len, axes.values())):
        return axes, notices
    return [{name: [value] for name, value in point.items()} for point in points], notices


def _grid_for_halving(study: Study) -> tuple[Any, int, tuple[str, ...]]:
    whole, _ = grid_points(study.with_(trials=None))
    n = (
        len(whole)
        if study.trials is None
        else min(len(whole), candidates_within(study.trials, study.epochs))
    )
    grid, notices = _grid(study.with_(trials=n))
    counted = f"(--trials {study.trials} counts rungs)"
    return grid, n, tuple(notice.replace(f"(--trials {n})", counted) for notice in notices)


def _trials(study: Study) -> int:
    """Return how many trials to plan for; without a number a timeout ends the search, and
    scikit-learn plans ahead.
    """
    return MOST_PLANNED if study.trials is None else study.trials


def _axis(domain: Domain) -> Any:
    return list(domain.values) if isinstance(domain, Choice) else Draw(domain)


def _product(space: Space, names: Sequence[str]) -> itertools.product[tuple[Any, ...]]:
    return itertools.product(*(space[name].cut(None) for name in names))


def _branch(space: Space, parents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axes that exist where the parents have these values."""
    kept: dict[str, Any] = {}
    for name, domain in space.domains.items():
        if domain.exists_under({n: parents[n] for n in kept if n in parents}):
            kept[name] = [parents[name]] if name in parents else _axis(domain)
    return kept
