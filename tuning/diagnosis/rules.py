"""`diagnose`: what is wrong with a trained network, in words: dead relus, gradients, learning rate,
capacity, epochs.

Every rule is a heuristic of ours on the courses' list of reasons for a bad model. Losses are
measured against that of the best constant prediction, so that a rule means the same for every loss
and every unit of the target.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import keras

from tuning.data.dataset import Task
from tuning.diagnosis.measurements import Signs, read_signs
from tuning.study.objective import Objective
from tuning.trainer.train import Rows
from tuning.trial import Finding

DEAD = 0.5  # share of a layer's relus
VANISHING = 1e-3  # gradient of the first layer over that of the last
EXPLODING = 1e3  # the other way round; or a gradient over the weights it belongs to
JUMPING = 0.05  # scatter of the training loss about its trend, in constant losses
UNDERFIT = 0.25  # share of the constant loss that training has removed
GAP = 0.1  # validation loss above training loss, in constant losses
STEADY = 0.8  # share of the epochs in which the training loss falls
STILL_GAINING = 0.02  # share of the whole gain that fell to the last quarter
LEAST_EPOCHS = 5  # before that a curve says nothing

Curve = Sequence[Mapping[str, float]]


def diagnose(
    model: keras.Model,
    curve: Curve,
    rows: Rows,
    objective: Objective,
    *,
    task: Task,
    kept: int,
    budget: int,
) -> tuple[Finding, ...]:
    """Return what is wrong with a network that has been trained, causes before symptoms; nothing
    where it is healthy.

    Underfitting and too few epochs are named only where nothing that explains them was found.

    Args:
        model: With the weights that were kept.
        curve: One row an epoch, as in `FoldResult.curve`; rows without `loss` and `val_loss` tell
            little.
        rows: Validation rows, of which a few hundred are looked at.
        objective: What the trial is judged by.
        task: How the targets are read.
        kept: The epoch of the weights kept.
        budget: Most epochs that a trial of this study may have.
    """
    if verdict := _not_finite(model, curve, objective):
        return (verdict,)
    try:
        signs, blind = (
            read_signs(model, rows, task, next(iter(_series(curve[-1:], "loss")), math.inf)),
            None,
        )
    except (
        Exception
    ) as error:  # a user's own loss or layer may raise anything here; the trial itself went well
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        signs = Signs()
        blind = Finding(
            "not_looked_into", "note", f"the model could not be looked into: {reason[:200]}"
        )
    causes = [*of_model(signs), *of_learning_rate(curve, signs)]
    found = [
        *causes,
        *of_budget(curve, objective, budget, causes),
        *of_fit(curve, kept, signs, causes),
    ]
    return (*found, blind) if blind else tuple(found)


def over_folds(folds: Sequence[Sequence[Finding]]) -> tuple[Finding, ...]:
    """Return the verdicts that more than half of a trial's folds share, in the words of the first."""
    if len(folds) < 2:
        return tuple(folds[0]) if folds else ()
    merged = {verdict.name: verdict for fold in reversed(folds) for verdict in fold}
    counts = {name: sum(any(v.name == name for v in fold) for fold in folds) for name in merged}
    order = dict.fromkeys(verdict.name for fold in folds for verdict in fold)
    return tuple(
        replace(
            merged[name], words=f"{merged[name].words} (in {counts[name]} of {len(folds)} folds)"
        )
        for name in order
        if counts[name] * 2 > len(folds)
    )


def of_model(signs: Signs) -> Iterator[Finding]:
    """Yield what the units and gradients show."""
    dead = [(name, share) for name, share in signs.dead if share >= DEAD]
    if dead:
        listed = ", ".join(f"{share:.0%} in {name}" for name, share in dead)
        whole = any(share == 1 for _, share in dead)
        yield Finding(
            "dead_relus",
            "serious" if whole else "warning",
            f"relus that are 0 for every row: {listed}; "
            "try a lower learning rate, leaky_relu or elu, or the initializer he_normal",
        )
    if signs.first is not None and signs.last is not None:
        first, last = signs.first, signs.last
        norms = f"the gradient's norm is {first.norm:.2g} at {first.layer} and {last.norm:.2g} at {last.layer}"
        if first.norm < VANISHING * last.norm and not dead:
            yield Finding(
                "vanishing_gradients",
                "warning",
                f"{norms}: the first layers hardly learn; try relu or "
                "elu, batch_norm, an initializer that fits the activation, or fewer layers",
            )
        worst = max((first, last), key=lambda g: _over(g.norm, g.weights))
        if (
            not first.norm <= EXPLODING * max(last.norm, 1e-12)
            or _over(worst.norm, worst.weights) > EXPLODING
        ):
            yield Finding(
                "exploding_gradients",
                "serious",
                f"{norms}, of the weights {worst.weights:.2g} at "
                f"{worst.layer}: try clipnorm=1, a smaller initializer, or scaled targets",
            )


def of_learning_rate(curve: Curve, signs: Signs) -> Iterator[Finding]:
    """Yield whether the training loss jumps, or falls too slowly."""
    losses, rate, constant = _series(curve, "loss"), _at(signs.lr), _constant(signs)
    if len(losses) < LEAST_EPOCHS or constant <= 0:
        return
    tail = losses[len(losses) // 2 :]
    scatter, falls = _scatter(tail), _falls(losses)
    lower, higher = "try a learning rate 3 to 10 times lower", "try a learning rate 10 times higher"
    if scatter > JUMPING * constant:
        yield Finding(
            "lr_too_high",
            "warning",
            f"the training loss jumps by {scatter:.2g} from epoch to epoch around "
            f"{statistics.fmean(tail):.3g}{rate}: {lower}",
        )
    elif (
        losses[0] > 3 * constant
        and 0.9 * constant < losses[-1] < 0.9 * losses[0]
        and falls < STEADY
    ):
        yield Finding(
            "lr_too_high",
            "serious",
            f"the training loss was {losses[0]:.3g} in the first epoch and stays "
            f"at {losses[-1]:.3g}, no better than a constant prediction{rate}: {lower}",
        )
    elif _slow(losses, constant, falls) and not _stuck(signs):
        yield Finding(
            "lr_too_low",
            "warning",
            f"the training loss went only from {losses[0]:.3g} to {losses[-1]:.3g} "
            f"in {len(losses)} epochs, and as fast at the end as at the start{rate}: {higher}",
        )


def of_budget(
    curve: Curve, objective: Objective, budget: int, causes: Sequence[Finding]
) -> Iterator[Finding]:
    """Yield whether the score was still improving when the epochs were used up, and nothing else is
    to be mended.
    """
    scores = [objective.key(value) for value in _series(curve, objective.metric)]
    last = int(curve[-1]["epoch"]) if curve else 0
    if len(scores) < LEAST_EPOCHS or last < budget or causes or min(scores) < scores[-1]:
        return
    quarter = max(len(scores) // 4, 1)
    gain, whole = min(scores[:-quarter]) - scores[-1], scores[0] - scores[-1]
    if gain > max(STILL_GAINING * whole, 1e-3 * abs(scores[-1])):
        yield Finding(
            "epochs_too_few",
            "note",
            f"the best epoch is the last one, {last}, and {objective.metric} "
            f"improved by {gain:.2g} over the last {quarter}: more epochs may help",
        )


def of_fit(curve: Curve, kept: int, signs: Signs, causes: Sequence[Finding]) -> Iterator[Finding]:
    """Yield whether the network has learnt too little of the training rows, or too much."""
    rows = [row for row in curve if "loss" in row and "val_loss" in row]
    upto = [row for row in rows if int(row["epoch"]) <= kept]
    constant = _constant(signs)
    if not upto or constant <= 0:
        return
    loss, lowest = upto[-1]["loss"], min(rows, key=lambda row: row["val_loss"])
    val_loss = statistics.median(
        row["val_loss"] for row in upto[-3:]
    )  # one epoch may be thrown off by an outlier
    losses = f"training loss {loss:.3g}, validation loss {val_loss:.3g}"
    learnt = loss < (1 - UNDERFIT) * constant
    risen = min(row["val_loss"] for row in rows[-max(len(rows) // 4, 3) :]) - lowest["val_loss"]
    if (
        learnt
        and upto == rows
        and risen > max(GAP * constant, 0.1 * lowest["val_loss"])
        and loss < lowest["loss"]
    ):
        yield Finding(
            "overfitting",
            "warning",
            f"validation loss was lowest, {lowest['val_loss']:.3g}, in epoch "
            f"{int(lowest['epoch'])} and has risen since ({losses}): try patience, dropout, l2, "
            "or fewer neurons",
        )
    elif val_loss - loss > GAP * constant and loss < 0.5 * min(val_loss, constant):
        yield Finding(
            "overfitting",
            "warning",
            f"{losses}: try dropout, l2, fewer neurons or more rows, "
            "unless outliers among the validation rows explain it",
        )
    elif (
        not learnt
        and val_loss > (1 - UNDERFIT) * constant
        and len(rows) >= LEAST_EPOCHS
        and not causes
    ):
        yield Finding(
            "underfitting",
            "warning",
            f"{losses}, not far below the {constant:.3g} of a constant "
            "prediction: try more neurons, layers or epochs, unless the inputs say no more",
        )


def _not_finite(model: keras.Model, curve: Curve, objective: Objective) -> Finding | None:
    for row in curve:
        for name in ("loss", objective.metric):
            if not math.isfinite(row.get(name, 0.0)):
                rate = getattr(model.optimizer, "learning_rate", None)
                return Finding(
                    "lr_too_high",
                    "serious",
                    f"{name} was not finite in epoch {int(row['epoch'])}"
                    f"{_at(None if rate is None else float(rate))}: try a learning rate 10 times lower, "
                    "clipnorm=1, or scaled inputs and targets",
                )
    return None


def _slow(losses: list[float], constant: float, falls: float) -> bool:
    half = len(losses) // 2
    early, late = losses[0] - losses[half], losses[half] - losses[-1]
    if abs(losses[0] - losses[-1]) < 1e-3 * abs(losses[0]):
        return losses[-1] > 1.05 * constant
    return falls >= STEADY and late > 0.6 * early > 0 and losses[-1] > (1 - UNDERFIT) * constant


def _stuck(signs: Signs) -> bool:
    """Whether the model itself explains why nothing is learnt."""
    return any(verdict.name in ("dead_relus", "vanishing_gradients") for verdict in of_model(signs))


def _constant(signs: Signs) -> float:
    """Return the loss of the best constant prediction; 0 where it is unknown."""
    return (
        signs.constant_loss
        if signs.constant_loss is not None and math.isfinite(signs.constant_loss)
        else 0.0
    )


def _series(curve: Curve, name: str) -> list[float]:
    return [row[name] for row in curve if name in row]


def _scatter(values: Sequence[float]) -> float:
    """Return the standard deviation about the trend: differences have twice the variance."""
    steps = [b - a for a, b in itertools.pairwise(values)]
    return statistics.stdev(steps) / math.sqrt(2) if len(steps) > 1 else 0.0


def _falls(values: Sequence[float]) -> float:
    return statistics.fmean(b < a for a, b in itertools.pairwise(values))


def _over(norm: float, weights: float) -> float:
    return norm / max(weights, 1e-12) if math.isfinite(norm) else math.inf


def _at(lr: float | None) -> str:
    return "" if lr is None else f" at lr {lr:.3g}"
