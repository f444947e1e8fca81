"""`diagnose`: what is wrong with a trained network, by the rules of `rules.RULES`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import keras

from tuning.data.dataset import Tasks
from tuning.diagnosis.measurements import Signs, learning_rate, read_signs
from tuning.diagnosis.rules import RULES, Case, Curve, at_rate, series
from tuning.study.objective import Objective
from tuning.trainer.train import Rows
from tuning.trial import Finding


def diagnose(
    model: keras.Model,
    curve: Curve,
    rows: Rows,
    objective: Objective,
    *,
    task: Tasks,
    best_epoch: int,
    budget: int,
) -> tuple[Finding, ...]:
    """Return what is wrong with a trained network, causes before symptoms; nothing if healthy.

    Args:
        model: With the weights that were kept.
        curve: One row an epoch, as in `FoldResult.curve`; rows without `loss` and `val_loss` tell
            little.
        rows: Validation rows, of which a few hundred are looked at.
        objective: What the trial is judged by.
        task: How the targets are read; of several outputs only the curve is.
        best_epoch: The epoch of the weights kept.
        budget: Most epochs that a trial of this study may have.
    """
    not_finite = _not_finite(model, curve, objective)
    if not_finite is not None:
        return (not_finite,)

    losses = series(curve[-1:], "loss")
    blind: list[Finding] = []  # what kept us from looking
    try:
        signs = read_signs(model, rows, task, loss=losses[0] if losses else math.inf)
    except Exception as error:
        # A user's own loss or layer may raise anything here; the trial itself went well.
        signs = Signs()
        blind = [_not_looked_into(error)]

    case = Case(curve=curve, objective=objective, best_epoch=best_epoch, budget=budget, signs=signs)
    findings: list[Finding] = []
    for rule in RULES:
        finding = rule(case, {known.name for known in findings})
        if finding is not None:
            findings.append(finding)
    return (*findings, *blind)


def _not_finite(model: keras.Model, curve: Curve, objective: Objective) -> Finding | None:
    """Find the first figure that was not finite: nothing else can be read off a curve then."""
    for row in curve:
        for name in ("loss", objective.metric):
            if not math.isfinite(row.get(name, 0.0)):
                return Finding(
                    "lr_too_high",
                    "serious",
                    f"{name} was not finite in epoch {int(row['epoch'])}"
                    f"{at_rate(learning_rate(model))}: try a learning rate 10 times lower, "
                    "clipnorm=1, or scaled inputs and targets",
                )
    return None


def _not_looked_into(error: Exception) -> Finding:
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    words = f"the model could not be looked into: {reason[:200]}"
    return Finding("not_looked_into", "note", words)


def over_folds(folds: Sequence[Sequence[Finding]]) -> tuple[Finding, ...]:
    """Return the findings that more than half of a trial's folds share, as the first words them."""
    if not folds:
        return ()
    if len(folds) == 1:
        return tuple(folds[0])

    counts = Counter(name for fold in folds for name in {finding.name for finding in fold})
    shared: dict[str, Finding] = {}
    for fold in folds:
        for finding in fold:
            count = counts[finding.name]
            if count * 2 > len(folds) and finding.name not in shared:
                words = f"{finding.words} (in {count} of {len(folds)} folds)"
                shared[finding.name] = replace(finding, words=words)
    return tuple(shared.values())
