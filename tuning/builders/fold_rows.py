"""`FoldRows`: the rows of one fit, prepared for its model and by what is trained on alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import keras
import numpy as np

from tuning.builders.inputs import preparation
from tuning.builders.inputs.first_layers import first_layers_of
from tuning.builders.inputs.preparation import FirstLayer, Preparation
from tuning.builders.targets import Form, form_for, in_form, is_of_keras
from tuning.data.arrays import Array, Arrays, each, named
from tuning.data.dataset import Task, answer_axes, task_of
from tuning.data.lazy import LazyArray
from tuning.data.parts import Part, Parts, Scaling
from tuning.trainer.keras_internals import wants_columns
from tuning.trainer.outputs import loss_of
from tuning.trainer.train import Rows


class Cut(NamedTuple):
    """The rows of a fit as the data set has them; None where another kind stands in."""

    train: Part
    scoring: Part | None
    stopping: Part | None


class _Prepared(NamedTuple):
    train: Rows
    scoring: Rows
    stopping: Rows
    scaler: Scaling


@dataclass(frozen=True)
class Plan:
    """What is done to rows for a model; plans that are equal make equal rows.

    Attributes:
        inputs: How each input is prepared, by its name in the data.
        targets: The form of each output's y.
        units: Size of each output's last axis.
        by_answer: Outputs of many answers a row (steps, pixels) whose loss weighs each of them, and
            how many axes of y these are.
    """

    inputs: tuple[tuple[str, Preparation], ...]
    targets: tuple[tuple[str, Form], ...] = ()
    units: tuple[tuple[str, int], ...] = ()
    by_answer: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class FoldRows:
    """The rows of one fit.

    They are made when they are first looked at: another model may want them in another way.

    Attributes:
        cut: Takes the rows out of the data.
        parts: The data.
        plan: What is done to them.
        words: That in one line; "" where all inputs are standardised, or as the data set asks.
        stops_early: Whether patience may end the fit; not where there are no rows to stop by.
    """

    cut: Callable[[], Cut]
    parts: Parts
    plan: Plan
    words: str = ""
    stops_early: bool = True
    _for_plans: dict[Plan, FoldRows] = field(default_factory=dict, repr=False)

    @property
    def train(self) -> Rows:
        """What is trained on."""
        return self._prepared.train

    @property
    def scoring(self) -> Rows:
        """What the objective is computed on."""
        return self._prepared.scoring

    @property
    def stopping(self) -> Rows:
        """What early stopping looks at.

        The scoring rows themselves without `--cv`, never with it.
        """
        return self._prepared.stopping

    @property
    def scaler(self) -> Scaling:
        """What the inputs were prepared with."""
        return self._prepared.scaler

    def for_model(self, model: keras.Model) -> FoldRows:
        """Return the same rows as a model wants them, which is mostly these.

        Args:
            model: Built and compiled.
        """
        first_layers = first_layers_of(model, [name for name, _ in named(self.parts.train.X)])
        plan = plan_for(self.parts, model, first_layers)
        if plan == self.plan:
            return self
        if plan not in self._for_plans:
            words = preparation.in_words(self.parts, dict(plan.inputs), first_layers)
            self._for_plans[plan] = replace(self, plan=plan, words=words, _for_plans={})
        return self._for_plans[plan]

    def inputs(self, X: Arrays) -> Arrays:
        """Return inputs as the data set has them as the model takes them."""
        return self.scaler.transform(X)

    def targets(self, y: Arrays) -> Arrays:
        """Return targets of a `Part` as the model's loss takes them."""
        forms = dict(self.plan.targets)
        units = dict(self.plan.units)
        by_name = {
            name: in_form(array, forms.get(name, "as it is"), units.get(name, 1))
            for name, array in named(y)
        }
        return by_name if isinstance(y, Mapping) else by_name[""]

    def weights(self, part: Part) -> Arrays | None:
        """Return the weights of a part's rows as the losses take them.

        Keras multiplies each answer's loss: of many answers a row each is given its row's weight.
        """
        if part.weight is None or not self.plan.by_answer:
            return part.weight
        n_axes = dict(self.plan.by_answer)
        by_name = {}
        for name, y in named(part.y):
            weight = part.weight[name] if isinstance(part.weight, Mapping) else part.weight
            axes = y.shape[1 : 1 + n_axes.get(name, 0)]
            by_name[name] = _of_answers(weight, axes)
        return by_name if isinstance(part.y, Mapping) else by_name[""]

    @functools.cached_property
    def _prepared(self) -> _Prepared:
        cut = self.cut()
        scaler = preparation.fitted(self.parts, dict(self.plan.inputs), cut.train.X)

        def rows(part: Part | None) -> Rows | None:
            if part is None:
                return None
            X = scaler.transform(part.X)
            weight = self.weights(part)
            return _fixed(replace(part, X=X, y=self.targets(part.y), weight=weight))

        train = rows(cut.train)
        scoring = rows(cut.scoring)
        stopping = rows(cut.stopping)
        assert train is not None  # noqa: S101 - a fit has training rows
        # Where there are none of a kind, the other kind stands in, and last the training rows.
        first = next(kind for kind in (scoring, stopping, train) if kind is not None)
        return _Prepared(
            train=train,
            scoring=first,
            stopping=first if stopping is None else stopping,
            scaler=scaler,
        )


def first_rows(cut: Callable[[], Cut], parts: Parts) -> FoldRows:
    """Return rows as most models want them: before one is known, quantities are standardised."""
    how = preparation.decide(parts)
    plan = Plan(
        inputs=tuple(how.items()),
        targets=tuple((name, "as it is") for name, _ in named(parts.train.y)),
    )
    return FoldRows(cut, parts, plan, preparation.in_words(parts, how, {}))


def plan_for(parts: Parts, model: keras.Model, first_layers: Mapping[str, FirstLayer]) -> Plan:
    """Return what is done to rows for a model.

    Args:
        parts: The data.
        model: Built and compiled.
        first_layers: See `first_layers_of`.
    """
    forms: dict[str, Form] = {}
    units: dict[str, int] = {}
    by_answer: list[tuple[str, int]] = []
    for position, (name, y) in enumerate(named(parts.train.y)):
        task = task_of(parts.task, name)
        shape = _shape_of_output(model, name, position)
        size = int(shape[-1] or 0) if shape else 0
        loss = loss_of(model, name, position)
        n_axes = _n_answer_axes(y, task, shape)
        # One of the user's own may have one value a row.
        if is_of_keras(loss) and n_axes:
            by_answer.append((name, n_axes))
        forms[name] = form_for(
            loss,
            task=task,
            units=size,
            was_one_hot=name in parts.one_hot,
            n_columns=y.ndim - 1,
            ranks=(y.ndim - 1, len(shape)),
        )
        # Keras' F-scores of one unit take y as a column alone.
        if forms[name] == "as it is" and size == 1 and y.ndim == 1 and wants_columns(model):
            forms[name] = "column"
        if forms[name] != "as it is":
            units[name] = size
    return Plan(
        inputs=tuple(preparation.decide(parts, first_layers).items()),
        targets=tuple(forms.items()),
        units=tuple(units.items()),
        by_answer=tuple(by_answer) if parts.train.weight is not None else (),
    )


def _n_answer_axes(y: Array, task: Task, shape: tuple[int | None, ...]) -> int:
    """Return how many axes of y a loss of Keras has values for, beside the rows.

    It averages over the output's last axis, and no other; 0 for one answer a row.
    """
    axes = y.shape[1 : len(shape)] if shape else answer_axes(y, task)
    return 0 if math.prod(axes) == 1 else len(axes)


def _of_answers(weight: Array, axes: tuple[int, ...]) -> Array:
    """Return the weight of each row's answers, `(rows, *axes)`; what it has more stays."""
    if weight.ndim > len(axes):
        return weight
    of_row = weight.reshape(*weight.shape, *[1] * (1 + len(axes) - weight.ndim))
    return np.ascontiguousarray(np.broadcast_to(of_row, (len(weight), *axes)))


def _shape_of_output(model: Any, output: str, position: int) -> tuple[int | None, ...]:
    """Return one row's shape of an output; () where the model does not tell."""
    outputs = getattr(model, "outputs", None)
    if not outputs:
        return ()
    names = list(getattr(model, "output_names", ()))
    if output in names:
        position = names.index(output)
    return tuple(outputs[position].shape[1:]) if position < len(outputs) else ()


def _fixed(part: Part) -> Rows:
    """Return rows that nobody can change, so that a worker moves them to its device once."""

    def fixed(array: Array) -> Array:
        if isinstance(array, LazyArray):  # which nobody can change
            return array
        if array.base is None:  # a copy made for this fit: a view of it alone could still change
            array.flags.writeable = False
        view = array.view()
        view.flags.writeable = False
        return view

    given = (part.X, part.y) if part.weight is None else (part.X, part.y, part.weight)
    arrays: list[Any] = [each(fixed, array) for array in given]
    return Rows(*arrays)
