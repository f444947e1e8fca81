"""`Constraint`: what a model must keep to, e.g. `n_parameters <= 50_000`; and how one is read.

Figures of the model (`MODEL_FIGURES`) are looked at before anything is trained, metrics
(`val_recall >= 0.8`) afterwards.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from tuning.errors import did_you_mean

MODEL_FIGURES: Mapping[str, str] = {
    "n_parameters": "numbers in the weights of the model, trainable or not, without the optimizer",
    "size_kb": "kilobytes (1,000 bytes) of these weights as float32: four bytes each",
    "latency_ms": "milliseconds of one row through the model in a compiled graph, the median",
}
"""What is counted or measured of the built model, before anything is trained; all better small."""

Sign: TypeAlias = Literal["<=", "<", ">=", ">"]

_SIGNS: Mapping[type[ast.cmpop], Sign] = {ast.LtE: "<=", ast.Lt: "<", ast.GtE: ">=", ast.Gt: ">"}
_OPPOSITE: Mapping[Sign, Sign] = {"<=": ">", "<": ">=", ">=": "<", ">": "<="}
_EXAMPLE = '"n_parameters <= 50_000" or "val_recall >= 0.8"'


@dataclass(frozen=True)
class Constraint:
    """One figure and its limit.

    Attributes:
        text: As the study gives it; its name wherever it is told.
        figure: One of `MODEL_FIGURES`, or a validation metric.
        sign: How the figure must compare with the limit.
        limit: In the figure's unit.
    """

    text: str
    figure: str
    sign: Sign
    limit: float

    @property
    def of_model(self) -> bool:
        """Whether the built model decides it, so that nothing need be trained."""
        return self.figure in MODEL_FIGURES

    def holds(self, value: float) -> bool:
        """Whether a figure keeps to it; NaN does not."""
        if self.sign == "<=":
            return value <= self.limit
        if self.sign == "<":
            return value < self.limit
        if self.sign == ">=":
            return value >= self.limit
        return value > self.limit

    def violation(self, value: float) -> float:
        """Return by which share of the limit it is broken: above 0 broken, else what is left.

        A share, so that constraints of different units may be added up, as samplers do. A limit of
        0 counts as 1.
        """
        beyond = value - self.limit if self.sign in ("<=", "<") else self.limit - value
        share = beyond / (abs(self.limit) or 1.0)
        if self.holds(value):
            return min(share, 0.0)
        # At a strict limit itself, a hair; where nothing is known, more than any other.
        return max(share, math.ulp(1.0)) if math.isfinite(share) else math.inf

    def broken_by(self, value: float) -> str:
        """Say what breaks it: `n_parameters 81,025 > 50,000`."""
        words = _in_words(value)
        limit = _in_words(self.limit)
        if words == limit and value != self.limit:  # they differ in the last digits only
            words = repr(value)
        return f"{self.figure} {words} {_OPPOSITE[self.sign]} {limit}"


def constraint_of(text: str) -> Constraint:
    """Read one constraint: a name, a comparison, a number.

    Raises:
        ValueError: It is something else; says what was given and what would work.
    """
    received = f"constraint {text!r}"
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        tree = None
    if not isinstance(tree, ast.Compare) or not isinstance(tree.left, ast.Name):
        raise ValueError(f"{received} must be a name, a comparison and a number, e.g. {_EXAMPLE}")

    sign = _SIGNS.get(type(tree.ops[0]))
    if sign is None or len(tree.ops) > 1:
        raise ValueError(f"{received} must have one of <=, <, >=, > once, e.g. {_EXAMPLE}")
    limit = _number(tree.comparators[0])
    if limit is None:
        raise ValueError(f"{received} must end with a finite number, e.g. {_EXAMPLE}")

    figure = tree.left.id
    if figure not in MODEL_FIGURES and not figure.startswith("val_"):
        guess = did_you_mean(figure, [*MODEL_FIGURES, f"val_{figure}"])
        raise ValueError(
            f"{received}: '{figure}' is no figure of a model and no validation metric.{guess} "
            f"There are: {', '.join(MODEL_FIGURES)}, and metrics by their name, e.g. val_loss"
        )
    return Constraint(text.strip(), figure, sign, limit)


def constraints_of(texts: Sequence[str]) -> tuple[Constraint, ...]:
    """Read those of a checked study."""
    return tuple(constraint_of(text) for text in texts)


def constraint_faults(texts: object) -> Iterator[str]:
    """Yield one sentence for each constraint that cannot be read, or that is given twice."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        yield f'constraints must be a list of texts, e.g. ["n_parameters <= 50_000"], got {texts!r}'
        return

    known: set[str] = set()
    for text in texts:
        if not isinstance(text, str):
            yield f"a constraint must be a text, e.g. {_EXAMPLE}, got {text!r}"
            continue
        try:
            constraint = constraint_of(text)
        except ValueError as error:
            yield str(error)
            continue
        if constraint.text in known:
            yield f"constraint {text!r} is given twice"
        known.add(constraint.text)


def violations(constraints: Iterable[Constraint], figures: Mapping[str, float]) -> dict[str, float]:
    """Return of each constraint whose figure is known how far it is broken, by its text."""
    return {
        constraint.text: constraint.violation(figures[constraint.figure])
        for constraint in constraints
        if constraint.figure in figures
    }


def broken(constraints: Iterable[Constraint], figures: Mapping[str, float]) -> str:
    """Say what is broken, one after another; "" where all that is known holds."""
    return "; ".join(
        constraint.broken_by(figures[constraint.figure])
        for constraint in constraints
        if constraint.figure in figures and not constraint.holds(figures[constraint.figure])
    )


def _number(tree: ast.expr) -> float | None:
    """Return a number as Python writes it, `50_000` or `-0.5`; None of anything else."""
    negative = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub)
    inner = cast("ast.UnaryOp", tree).operand if negative else tree
    if not isinstance(inner, ast.Constant) or type(inner.value) not in (int, float):
        return None
    try:
        value = float(cast("float", inner.value))
    except OverflowError:
        return None
    if not math.isfinite(value):
        return None
    return -value if negative else value


def _in_words(value: float) -> str:
    """Write a figure: whole numbers with commas, others with four digits."""
    if math.isfinite(value) and value == int(value):
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"
