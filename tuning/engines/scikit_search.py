"""A study as one of scikit-learn's own search objects: grids, distributions, halving, scorer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from tuning.data.arrays import only
from tuning.data.dataset import Array, Tasks
from tuning.data.folds import Cv
from tuning.data.parts import Parts
from tuning.engines.grid_points import grid_points
from tuning.engines.scikit_internals import dispatch_at_once
from tuning.errors import StudyError
from tuning.space.domains import Choice, Domain
from tuning.space.space import Space
from tuning.study.builder_arguments import FROM_DATA, names_needed
from tuning.study.engine_spec import require_kinds
from tuning.study.objective import Objective
from tuning.study.study import Study, derive_seed
from tuning.study.unit_cube import engine_seed
from tuning.trial import Params

FACTOR = 3  # scikit-learn's default: each round keeps a third and trains three times as long
MOST_BRANCHES = 10_000
MOST_PLANNED = 1_000

_Settings: TypeAlias = Mapping[str, Any]  # keyword arguments of a search class
_Axes: TypeAlias = dict[str, Any]  # by name, a list of values or an object with `rvs`


@dataclass(frozen=True)
class ObjectiveScorer:
    """The study's objective as scikit-learn's scorer: greater is better."""

    objective: Objective
    task: Tasks
    threshold: float | Literal["tuned"] | None = None

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Return the signed objective on X, y of a fitted estimator.

        NaN where a prediction is not finite.
        """
        from tuning.scoring.measure import is_always_ours, measure_of

        sign = -1 if self.objective.direction == "minimize" else 1
        name = self.objective.name
        measure = measure_of(self.objective, self.task)
        if measure is None or not (is_always_ours(name) or self.objective.function is not None):
            # A metric that the builder compiled: only the model can compute it.
            scores = self._of_the_model(estimator, X, y)
            if measure is None or np.size(scores.get(name, ())) == 1:
                return sign * float(np.reshape(scores[name], ()))

        weight = None
        threshold = None if self.threshold == "tuned" else self.threshold
        if estimator._watch is not None:  # in a search; its judge has the same rows
            judge = estimator._watch.callbacks[0]
            weight = judge.weight_of(estimator.model_, estimator._watch.scoring)
            threshold = judge.threshold_of(estimator.model_)
        return sign * measure(y, estimator._predict_raw(X), weight, threshold=threshold)

    def _of_the_model(self, estimator: Any, X: Any, y: Any) -> Mapping[str, Any]:
        inputs = estimator._prepared(np.asarray(X))
        targets = estimator._encoded(np.asarray(y))
        watch = estimator._watch  # its rows are these
        weight = None if watch is None or watch.scoring is None else watch.scoring.weight
        scores: Mapping[str, Any] = estimator.model_.evaluate(
            inputs, targets, sample_weight=weight, verbose=0, return_dict=True
        )
        return scores


@dataclass(frozen=True)
class Draw:
    """One axis as scikit-learn's samplers want it: an object with `rvs`."""

    domain: Domain

    def rvs(self, random_state: np.random.RandomState) -> Any:
        """Draw a value, of Python's own type."""
        return self.domain.sample(np.random.default_rng(random_state.randint(2**31)))


@lru_cache(maxsize=2)
def arrays_of(parts: Parts, cv: Hashable) -> Mapping[str, Array]:
    """Return what every fit of a search needs, by name: X, y and the rows of each fold.

    They are equal in all processes: what is packed for a worker names them and holds no array. X is
    not scaled: each fit scales by what it trains on. Without `cv` the one fold is the study's own
    split.
    """
    part = parts.search_part
    X = np.asarray(only(part.X))  # scikit-learn cuts it itself: windows are written out
    if cv is None:
        n_train = len(parts.train)
        rows = [(np.arange(n_train), np.arange(n_train, len(part)))]
    else:
        rows = [(fold.training, fold.scoring) for fold in parts.folds(cast(Cv, cv))]

    arrays = {"X": X, "y": only(part.y)}
    for k, (train, test) in enumerate(rows):
        arrays[f"train-{k}"] = train
        arrays[f"test-{k}"] = test
    return arrays


def _folds(arrays: Mapping[str, Array]) -> list[tuple[Array, Array]]:
    """Return (training rows, scoring rows) of each fold of `arrays_of`."""
    n_folds = sum(name.startswith("train-") for name in arrays)
    return [(arrays[f"train-{k}"], arrays[f"test-{k}"]) for k in range(n_folds)]


def make_estimator(study: Study, parts: Parts) -> Any:
    """Return the estimator all candidates are clones of."""
    from tuning.estimators.fold_scaler import FoldScaler
    from tuning.estimators.wrappers import KerasClassifier, KerasRegressor

    kind = KerasRegressor if parts.task == "regression" else KerasClassifier
    facts = {"input_shape": parts.input_shape, "task": parts.task, "n_outputs": parts.n_outputs}
    accepted = set(kind(study.builder).get_params())
    from_data = {}
    for name in FROM_DATA:
        if name in accepted and name not in study.fixed and name not in study.space:
            from_data[name] = facts[name]
    if "output_shape" in names_needed(study.builder):
        from_data["output_shape"] = parts.output_shape

    # Of a study of a function no estimator is fitted, but one is made, and must be valid.
    trainer = "auto" if study.trainer == "function" else study.trainer
    point = study.split_params(study.fixed)
    settings = {
        "epochs": study.epochs,
        "patience": study.patience,
        "batch_size": point.batch_size,
        **from_data,
        **point.builder,  # which may take the batch size and the like by name as well
    }
    return kind(
        study.builder,
        preprocessor=FoldScaler(parts.columns, parts.scale) if parts.scale else None,
        trainer=trainer,
        random_state=derive_seed(study.seed, "training"),
        **settings,
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
    settings = {
        "estimator": make_estimator(study, parts),
        "scoring": ObjectiveScorer(study.objective, parts.task, study.threshold),
        # As `RepeatedKFold`, but with the same folds in each repeat: it is the seed that differs.
        "cv": _folds(arrays) * study.repeats,
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
        random_state=engine_seed(study),
        pre_dispatch="all",
        **settings,
    )
    if study.trials is not None:
        return ScikitSearch(search, ())
    return ScikitSearch(search, (f"random: at most {MOST_PLANNED} trials until the timeout",))


def _halving_grid_search(study: Study, settings: _Settings) -> ScikitSearch:
    # The import below needs it.
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV

    whole = grid_points(study.with_(trials=None)).points
    n = len(whole)
    if study.trials is not None:
        n = min(n, candidates_within(study.trials, study.epochs, study.engine_options))
    grid, notices = _grid(study.with_(trials=n))
    search = HalvingGridSearchCV(param_grid=grid, **_halving(study), **settings)

    # The grid was cut to `n` candidates; the user's --trials are those of all rounds together.
    counted = f"(--trials {study.trials} counts rungs)"
    notices = tuple(notice.replace(f"(--trials {n})", counted) for notice in notices)
    return ScikitSearch(dispatch_at_once(search), (*notices, halving_remark(n, study)))


def _halving_random_search(study: Study, settings: _Settings) -> ScikitSearch:
    # The import below needs it.
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    n = candidates_within(_trials(study), study.epochs, study.engine_options)
    search = HalvingRandomSearchCV(
        param_distributions=distributions(study.space),
        n_candidates=n,
        **_halving(study),
        **settings,
    )
    return ScikitSearch(dispatch_at_once(search), (halving_remark(n, study),))


def _halving(study: Study) -> _Settings:
    """Return what both halving classes are given."""
    settings = {
        "resource": "epochs",
        "max_resources": study.epochs,
        "min_resources": "exhaust",
        "factor": FACTOR,
        "return_train_score": False,
        "random_state": engine_seed(study),
    }
    return {**settings, **study.engine_options}


SEARCHES: dict[str, Callable[[Study, _Settings], ScikitSearch]] = {
    "gridsearchcv": _grid_search,
    "randomizedsearchcv": _randomized_search,
    "halvinggridsearchcv": _halving_grid_search,
    "halvingrandomsearchcv": _halving_random_search,
}
"""Of each engine, from the study and what all four classes are given."""

require_kinds("scikit-learn", SEARCHES)


def distributions(space: Space) -> _Axes | list[_Axes]:
    """Return what scikit-learn draws from.

    With conditions one mapping for each combination of the parents' values, each as likely as the
    others; a parent on a log scale is drawn evenly here.

    Raises:
        StudyError: More than 10,000 combinations.
    """
    if not space.conditional:
        return {name: _axis(space[name]) for name in space}

    with_children = {parent for domain in space.domains.values() for parent, _ in domain.conditions}
    parents = [name for name in space if name in with_children]
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


class Round(NamedTuple):
    """One round of a halving search: so many candidates, each trained so many epochs."""

    candidates: int
    epochs: int


def rounds(n: int, epochs: int, options: _Settings | None = None) -> list[Round]:
    """Return the rounds that scikit-learn makes of `n` candidates.

    Args:
        n: Candidates of the first round.
        epochs: Of the last round, at most.
        options: The study's `factor`, `min_resources` and `aggressive_elimination`.
    """
    # As BaseSuccessiveHalving._run_search computes them, floating-point logarithms included.
    options = options or {}
    factor = options.get("factor", FACTOR)
    needed = 1 + math.floor(math.log(n, factor))
    least = options.get("min_resources", "exhaust")
    if least == "exhaust":
        least = max(1, epochs // factor ** (needed - 1))
    elif least == "smallest":
        least = 1
    possible = 1 + math.floor(math.log(epochs // least, factor))
    is_aggressive = options.get("aggressive_elimination", False)

    plan = []
    for i in range(needed if is_aggressive else min(needed, possible)):
        # Aggressive rounds repeat the least resources until the rest fits.
        power = max(0, i - needed + possible) if is_aggressive else i
        plan.append(Round(n, min(factor**power * least, epochs)))
        n = math.ceil(n / factor)
    return plan


def _trials_of(plan: Sequence[Round]) -> int:
    return sum(each.candidates for each in plan)


def candidates_within(trials: int, epochs: int, options: _Settings | None = None) -> int:
    """Return with how many candidates a halving search begins whose rounds are `trials` in all."""
    for n in range(trials, 0, -1):
        if _trials_of(rounds(n, epochs, options)) <= trials:
            return n
    return 1


def trials_within(total: float, epochs: int) -> int:
    """Return the trials of the largest halving search that ends within `total` epochs."""
    best = 1
    for n in range(1, max(2, int(total))):
        plan = rounds(n, epochs)
        if sum(each.candidates * each.epochs for each in plan) <= total:
            best = _trials_of(plan)
    return best


def halving_remark(n: int, study: Study) -> str:
    """Say what the rounds are."""
    plan = rounds(n, study.epochs, study.engine_options)
    sizes = " + ".join(str(each.candidates) for each in plan)
    epochs = ", ".join(str(each.epochs) for each in plan)
    return f"halving: {sizes} trials of {epochs} epochs, each rung trained from zero"


class _Grid(NamedTuple):
    """A `param_grid`, and the notices on what was left out."""

    axes: Any
    notices: tuple[str, ...]


def _grid(study: Study) -> _Grid:
    """Return the grid as one mapping where that is possible, else a list of one-point grids."""
    points, notices, n_known = grid_points(study)
    axes = {name: study.space[name].cut() for name in study.space}
    is_whole = len(points) == math.prod(map(len, axes.values()))
    if is_whole and not n_known and not study.space.conditional:
        return _Grid(axes, notices)

    single = [{name: [value] for name, value in point.items()} for point in points]
    return _Grid(single, notices)


def _trials(study: Study) -> int:
    """Return how many trials to plan: scikit-learn needs a number also where a timeout ends it."""
    return MOST_PLANNED if study.trials is None else study.trials


def _axis(domain: Domain) -> Any:
    return list(domain.values) if isinstance(domain, Choice) else Draw(domain)


def _product(space: Space, names: Sequence[str]) -> itertools.product[tuple[Any, ...]]:
    return itertools.product(*(space[name].cut(None) for name in names))


def _branch(space: Space, parents: Params) -> _Axes:
    """Return the axes that exist where the parents have these values."""
    axes: _Axes = {}
    for name, domain in space.domains.items():
        # A parent that does not exist here itself counts for nothing.
        existing = {parent: parents[parent] for parent in axes if parent in parents}
        if domain.exists_under(existing):
            axes[name] = [parents[name]] if name in parents else _axis(domain)
    return axes
