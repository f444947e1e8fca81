"""The rules of a diagnosis: inputs, dead relus, gradients, learning rate, epochs, capacity.

A rule is a function that looks at a `Case` and returns a `Finding` or None. To add one, write it
below the others and list it in `RULES`, causes before symptoms: a rule is given the names of what
the rules before it have found, and a symptom that is explained by a cause is not named.

Every rule is a heuristic of ours on the courses' list of reasons for a bad model. Losses are
measured against that of the best constant prediction, so that a rule means the same for every loss
and every unit of the target.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

from tuning.diagnosis.measurements import LEARNT, Gradient, Signs
from tuning.study.objective import Objective
from tuning.trial import Finding

LARGE = 30.0  # median of an input's absolute values; standardised, it is below 1
DEAD = 0.5  # share of a layer's relus
VANISHING = 1e-3  # gradient of the first layer over that of the last
EXPLODING = 1e3  # the other way round; or a gradient over the weights it belongs to
JUMPING = 0.05  # scatter of the training loss about its trend, in constant losses
UNDERFIT = 0.25  # share of the constant loss that training has removed
GAP = 0.1  # validation loss above training loss, in constant losses
STEADY = 0.8  # share of the epochs in which the training loss falls
STILL_GAINING = 0.02  # share of the whole gain that fell to the last quarter
LEAST_EPOCHS = 5  # before that a curve says nothing

Curve: TypeAlias = Sequence[Mapping[str, float]]
"""One row an epoch: figures by name, `epoch` (from 1) among them."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A trained network, as a rule sees it.

    Attributes:
        curve: Of the whole training.
        objective: What the trial is judged by.
        best_epoch: The epoch of the weights kept.
        budget: Most epochs that a trial of this study may have.
        signs: What was measured on the model itself.
    """

    curve: Curve
    objective: Objective
    best_epoch: int
    budget: int
    signs: Signs

    @property
    def constant_loss(self) -> float:
        """The loss of the best constant prediction; 0 where it is unknown."""
        loss = self.signs.constant_loss
        return 0.0 if loss is None or not math.isfinite(loss) else loss

    @cached_property
    def losses(self) -> list[float]:
        """The training loss of each epoch."""
        return series(self.curve, "loss")

    @property
    def tells_the_rate(self) -> bool:
        """Whether the losses are enough to judge the learning rate by."""
        return len(self.losses) >= LEAST_EPOCHS and self.constant_loss > 0


Rule: TypeAlias = Callable[[Case, AbstractSet[str]], Finding | None]
"""Given the case and the names of what earlier rules have found."""


def large_inputs(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """A network that has not learnt takes inputs far from the size that initializers assume.

    Initializers give a layer outputs of variance 1 for inputs of variance 1: Glorot and Bengio
    2010, "Understanding the difficulty of training deep feedforward neural networks".
    """
    inputs = case.signs.inputs
    if inputs is None or not inputs.size > LARGE or not case.losses:
        return None
    if case.losses[-1] < LEARNT * case.constant_loss:
        return None  # it copes
    return Finding(
        "large_inputs",
        "warning",
        f"column {inputs.column} of what {inputs.layer} takes has values around {inputs.size:.2g}: "
        "try standardised inputs (scale=True of a Dataset), or a Normalization layer in front",
    )


def dead_relus(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """At least half of a layer's relus are 0 for every row."""
    dead = [layer for layer in case.signs.relus if layer.dead_share >= DEAD]
    if not dead:
        return None

    shares = ", ".join(f"{layer.dead_share:.0%} in {layer.name}" for layer in dead)
    # No gradient passes through such a layer: those before it do not learn any more.
    whole_layer = any(layer.dead_share == 1 for layer in dead)
    return Finding(
        "dead_relus",
        "serious" if whole_layer else "warning",
        f"relus that are 0 for every row: {shares}; "
        "try a lower learning rate, leaky_relu or elu, or the initializer he_normal",
    )


def vanishing_gradients(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """The first layer's gradient is nothing beside the last one's."""
    first = case.signs.first
    last = case.signs.last
    if first is None or last is None or "dead_relus" in earlier:
        return None
    if not first.norm < VANISHING * last.norm:
        return None

    return Finding(
        "vanishing_gradients",
        "warning",
        f"{_norms(first, last)}: the first layers hardly learn; try relu or elu, batch_norm, "
        "an initializer that fits the activation, or fewer layers",
    )


def exploding_gradients(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """The first layer's gradient is huge beside the last one's, or one beside its own weights."""
    first = case.signs.first
    last = case.signs.last
    if first is None or last is None:
        return None

    # Not `first.norm > …`: NaN explodes too.
    beside_last = not first.norm <= EXPLODING * max(last.norm, 1e-12)
    worst = max((first, last), key=_over_weights)
    if not (beside_last or _over_weights(worst) > EXPLODING):
        return None

    return Finding(
        "exploding_gradients",
        "serious",
        f"{_norms(first, last)}, of the weights {worst.weights:.2g} at {worst.layer}: "
        "try clipnorm=1, a smaller initializer, or scaled targets",
    )


def lr_too_high(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """The training loss jumps, or was thrown far up at first and is no better than a constant."""
    if not case.tells_the_rate:
        return None
    losses = case.losses
    constant = case.constant_loss
    rate = at_rate(case.signs.lr)
    advice = "try a learning rate 3 to 10 times lower"

    second_half = losses[len(losses) // 2 :]
    scatter = _scatter(second_half)
    if scatter > JUMPING * constant:
        return Finding(
            "lr_too_high",
            "warning",
            f"the training loss jumps by {scatter:.2g} from epoch to epoch around "
            f"{statistics.fmean(second_half):.3g}{rate}: {advice}",
        )

    thrown_up = losses[0] > 3 * constant
    stays = 0.9 * constant < losses[-1] < 0.9 * losses[0]
    if thrown_up and stays and _share_of_falls(losses) < STEADY:
        return Finding(
            "lr_too_high",
            "serious",
            f"the training loss was {losses[0]:.3g} in the first epoch and stays "
            f"at {losses[-1]:.3g}, no better than a constant prediction{rate}: {advice}",
        )
    return None


def lr_too_low(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """The training loss hardly falls, or as fast at the end as at the start."""
    explained = earlier & {"lr_too_high", "dead_relus", "vanishing_gradients"}
    if explained or not case.tells_the_rate or not _falls_slowly(case):
        return None

    losses = case.losses
    return Finding(
        "lr_too_low",
        "warning",
        f"the training loss went only from {losses[0]:.3g} to {losses[-1]:.3g} "
        f"in {len(losses)} epochs, and as fast at the end as at the start"
        f"{at_rate(case.signs.lr)}: try a learning rate 10 times higher",
    )


def epochs_too_few(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """The score still improved when the epochs were used up, and there is nothing else to fix."""
    objective = case.objective
    scores = [objective.key(value) for value in series(case.curve, objective.metric)]
    last_epoch = int(case.curve[-1]["epoch"]) if case.curve else 0
    if earlier or len(scores) < LEAST_EPOCHS or last_epoch < case.budget:
        return None
    if min(scores) < scores[-1]:
        return None

    quarter = max(len(scores) // 4, 1)
    gain = min(scores[:-quarter]) - scores[-1]
    whole_gain = scores[0] - scores[-1]
    if gain <= max(STILL_GAINING * whole_gain, 1e-3 * abs(scores[-1])):
        return None

    return Finding(
        "epochs_too_few",
        "note",
        f"the best epoch is the last one, {last_epoch}, and {objective.metric} "
        f"improved by {gain:.2g} over the last {quarter}: more epochs may help",
    )


def overfitting(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """Validation loss has risen again while the training loss fell, or is far above it."""
    fit = _fit_of(case)
    if fit is None:
        return None

    lowest = fit.lowest
    margin = max(GAP * case.constant_loss, 0.1 * lowest["val_loss"])
    if fit.learnt and fit.to_the_end and fit.risen > margin and fit.loss < lowest["loss"]:
        return Finding(
            "overfitting",
            "warning",
            f"validation loss was lowest, {lowest['val_loss']:.3g}, in epoch "
            f"{int(lowest['epoch'])} and has risen since ({fit.words}): "
            "try patience, dropout, l2, or fewer neurons",
        )

    far_above = fit.val_loss - fit.loss > GAP * case.constant_loss
    if far_above and fit.loss < 0.5 * min(fit.val_loss, case.constant_loss):
        return Finding(
            "overfitting",
            "warning",
            f"{fit.words}: try dropout, l2, fewer neurons or more rows, "
            "unless outliers among the validation rows explain it",
        )
    return None


def underfitting(case: Case, earlier: AbstractSet[str]) -> Finding | None:
    """Neither loss is far below that of a constant prediction, and nothing explains it."""
    fit = _fit_of(case)
    explained = earlier - {"epochs_too_few"}  # that one is no cause: more may be wrong
    if fit is None or explained or fit.learnt or fit.n_epochs < LEAST_EPOCHS:
        return None
    if not fit.val_loss > (1 - UNDERFIT) * case.constant_loss:
        return None

    return Finding(
        "underfitting",
        "warning",
        f"{fit.words}, not far below the {case.constant_loss:.3g} of a constant prediction: "
        "try more neurons, layers or epochs, unless the inputs say no more",
    )


RULES: tuple[Rule, ...] = (
    # causes
    large_inputs,
    dead_relus,
    vanishing_gradients,
    exploding_gradients,
    lr_too_high,
    lr_too_low,
    # symptoms
    epochs_too_few,
    overfitting,
    underfitting,
)
"""In the order in which they are asked and their findings are named."""


class _Fit(NamedTuple):
    """How well training and validation rows are fitted.

    Attributes:
        loss: Training loss of the weights kept.
        val_loss: Validation loss of the same; the median of three epochs, one may be thrown off by
            an outlier.
        lowest: The row of the lowest validation loss.
        risen: By how much validation loss was above it throughout the last quarter.
        n_epochs: How many epochs have both losses.
        to_the_end: The weights kept are those of the last epoch.
        learnt: The training loss is well below that of a constant prediction.
    """

    loss: float
    val_loss: float
    lowest: Mapping[str, float]
    risen: float
    n_epochs: int
    to_the_end: bool
    learnt: bool

    @property
    def words(self) -> str:
        return f"training loss {self.loss:.3g}, validation loss {self.val_loss:.3g}"


def _fit_of(case: Case) -> _Fit | None:
    """Return how well the rows are fitted; None where the curve does not tell."""
    rows = [row for row in case.curve if "loss" in row and "val_loss" in row]
    to_best = [row for row in rows if int(row["epoch"]) <= case.best_epoch]
    if not to_best or case.constant_loss <= 0:
        return None

    lowest = min(rows, key=lambda row: row["val_loss"])
    last_quarter = rows[-max(len(rows) // 4, 3) :]
    loss = to_best[-1]["loss"]
    return _Fit(
        loss=loss,
        val_loss=statistics.median(row["val_loss"] for row in to_best[-3:]),
        lowest=lowest,
        risen=min(row["val_loss"] for row in last_quarter) - lowest["val_loss"],
        n_epochs=len(rows),
        to_the_end=len(to_best) == len(rows),
        learnt=loss < (1 - UNDERFIT) * case.constant_loss,
    )


def _falls_slowly(case: Case) -> bool:
    losses = case.losses
    whole_fall = losses[0] - losses[-1]
    if abs(whole_fall) < 1e-3 * abs(losses[0]):  # flat
        return losses[-1] > 1.05 * case.constant_loss

    half = len(losses) // 2
    early = losses[0] - losses[half]
    late = losses[half] - losses[-1]
    straight = late > 0.6 * early > 0
    far_from_learnt = losses[-1] > (1 - UNDERFIT) * case.constant_loss
    return _share_of_falls(losses) >= STEADY and straight and far_from_learnt


def _norms(first: Gradient, last: Gradient) -> str:
    return (
        f"the gradient's norm is {first.norm:.2g} at {first.layer} "
        f"and {last.norm:.2g} at {last.layer}"
    )


def _over_weights(gradient: Gradient) -> float:
    """Return a gradient's norm over that of the weights it belongs to."""
    if not math.isfinite(gradient.norm):
        return math.inf
    return gradient.norm / max(gradient.weights, 1e-12)


def series(curve: Curve, name: str) -> list[float]:
    """Return one figure of the epochs that have it."""
    return [row[name] for row in curve if name in row]


def at_rate(lr: float | None) -> str:
    """Say the learning rate within a sentence; nothing where there is none, or a cycle ended it."""
    return f" at lr {lr:.3g}" if lr else ""


def _scatter(values: Sequence[float]) -> float:
    """Return the standard deviation about the trend: differences have twice the variance."""
    differences = [after - before for before, after in itertools.pairwise(values)]
    if len(differences) < 2:
        return 0.0
    return statistics.stdev(differences) / math.sqrt(2)


def _share_of_falls(values: Sequence[float]) -> float:
    return statistics.fmean(after < before for before, after in itertools.pairwise(values))
