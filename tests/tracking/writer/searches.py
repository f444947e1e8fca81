"""Searches made of files only: what a driver and its workers would have left in the ledger."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuning.ledger.begin import begin
from tuning.ledger.records import SearchHeader, SearchStatus
from tuning.ledger.search import SearchFiles
from tuning.ledger.winner import Evaluation, FinalistOutcome, Standing, WinnerRecord
from tuning.space.space import Choice, Float, Int, Space
from tuning.study.info import DatasetFacts
from tuning.study.objective import Minimize
from tuning.trial import FoldResult, Proposal, Status, TrialResult

SPACE = Space(
    {
        "n_hidden": Int(0, 3),
        "n_neurons": Int(1, 100),
        "lr": Float(3e-4, 3e-2, log=True),
        "batch_size": Choice(16, 32, 64),
        "optimizer": Choice("sgd", "adam", None, (1, 2)),
        "momentum": Float(0.0, 0.99).when(optimizer="sgd"),
    }
)
STARTED_AT = 1_760_000_000.0
SOURCE = "Pace and Barry 1997; postgresql://me:s3cr3t-canary@db/houses"


def search(
    home: Path, study: str = "toy", engine: str = "optuna:tpe", **changes: Any
) -> SearchFiles:
    """Begin a search that nobody drives."""
    definition = {
        "name": study,
        "engine": engine,
        "pruner": "none",
        "epochs": 30,
        "seed": 42,
        "cv": None,
        "objective": "minimize val_rmse",
        "builder": "b" * 16,
        "data": "d" * 16,
        "space": {
            n: repr(d) + (f" when {d.conditions}" if d.conditions else "")
            for n, d in SPACE.domains.items()
        },
    }
    file = home / "studies" / f"{study}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("STUDY = None\n")
    data = DatasetFacts(
        name="california housing",
        digest="ab" * 32,
        source=SOURCE,
        rows=20640,
        train=11610,
        validation=3870,
        test=5160,
        features=("MedInc", "HouseAge"),
        input_shape=(2,),
        unit="100,000 USD",
    )
    header = SearchHeader(
        study=study,
        engine=engine,
        objective=Minimize("val_rmse"),
        versions=(definition,),
        study_hash="0123456789abcdef",
        git_commit="c0ffee",
        data=data,
        trials=20,
        seed=42,
        study_file=str(file),
        versions_of={"keras": "3.15.1"},
    )
    header = replace(header, **changes)
    return begin(
        home / "ledger" / study / engine.replace(":", "-"), header, fresh=False, allow_change=True
    )


def add_trials(
    files: SearchFiles, numbers: range, epochs: int = 3, folds: int = 1, fault_every: int = 5
) -> None:
    """Ask and end trials; each `fault_every`-th is pruned, failed, diverged, infeasible in turn."""
    bad = [Status.PRUNED, Status.FAILED, Status.DIVERGED, Status.INFEASIBLE]
    for number in numbers:
        proposal, result = trial(number, epochs, folds)
        if fault_every and number % fault_every == fault_every - 1:
            result = spoiled(result, bad[number // fault_every % len(bad)])
        files.write_spec(proposal)
        files.write_result(result)


def trial(number: int, epochs: int = 3, folds: int = 1) -> tuple[Proposal, TrialResult]:
    """Return a completed trial; the same number gives the same trial."""
    import numpy as np

    params = SPACE.sample(np.random.default_rng(number))
    chance = random.Random(number)
    floor = 0.5 + 0.3 * chance.random()
    start = STARTED_AT + 5.0 * number
    parts = tuple(_fold(fold, floor, epochs) for fold in range(folds))
    value = sum(part.value for part in parts) / folds
    return Proposal(number, params, epochs), TrialResult(
        number,
        Status.COMPLETED,
        value,
        {"val_rmse": value, "val_loss": value**2},
        parts,
        epochs=epochs * folds,
        seed=7 + number,
        slot=f"cpu:{number % 2}",
        started_at=start,
        ended_at=start + 4.0,
        seconds=4.0,
        training_s=3.5,
        rss_mb=512.0,
    )


def spoiled(result: TrialResult, status: Status) -> TrialResult:
    """Return the same trial with another end."""
    stored = {
        **result.to_json(),
        "status": status.value,
        "error": "" if status is Status.PRUNED else "ValueError: no",
    }
    if status is not Status.PRUNED:
        stored |= {"value": None, "metrics": {}, "folds": []}
    if status is Status.DIVERGED:
        stored |= {"value": float("inf"), "metrics": {"val_loss": float("nan")}}
    return TrialResult.from_json(stored)


def outcome(value: float = 0.5) -> FinalistOutcome:
    """Return what came of trial 0 on the first fresh seed."""
    return FinalistOutcome(number=0, index=0, seed=9, value=value, epochs=3, ended_at=STARTED_AT)


def winner(number: int = 0) -> WinnerRecord:
    """Return a winner on one seed."""
    standing = Standing(
        number=number,
        params={"lr": 0.1},
        epochs=3,
        seeds=(9,),
        weights=("0.npz",),
        values=(0.5,),
    )
    return WinnerRecord(
        standing=standing,
        finalists=(standing,),
        evaluation=Evaluation(test={"rmse": 0.5}),
        seed=9,
        at=STARTED_AT,
    )


def end(files: SearchFiles, status: str = "completed") -> None:
    """Leave the status that a driver leaves."""
    files.write_status(SearchStatus(status=status, at=STARTED_AT + 3600))


def _fold(fold: int, floor: float, epochs: int) -> FoldResult:
    losses = [floor + (0.5 + 0.01 * fold) / (epoch + 1) for epoch in range(epochs)]
    rows = [(epoch + 1.0, v) for epoch, v in enumerate(losses)]
    curve = tuple(
        {"epoch": e, "loss": 0.9 * v**2, "val_loss": v**2, "val_rmse": v} for e, v in rows
    )
    value = losses[-1] if losses else floor
    return FoldResult(
        fold, value, {"val_rmse": value}, curve, best_epoch=epochs, seconds=4.0, seed=7
    )
