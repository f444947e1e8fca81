"""The honest winner: finalists on fresh seeds, one evaluation on the test part, baselines beside
it.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tuning.data.columns import TableScaler
from tuning.data.dataset import Array
from tuning.data.parts import Scaler, Scaling
from tuning.data.tables import encode
from tuning.errors import StudyError, TuningError
from tuning.storage.durable import read_json, write_json
from tuning.study.study import derive_seed
from tuning.trainer.forward import predict
from tuning.trainer.outputs import link_of, linked
from tuning.trial import Context, EpochReport
from tuning.trials.baselines import baselines, scores
from tuning.trials.checkpoint import load_checkpoint, save_checkpoint
from tuning.trials.folds import FoldFit, prepare_fit
from tuning.trials.functions import function_finalist, function_winner
from tuning.trials.jobs import ALL_ROWS, EvaluationJob, FinalistJob, Stopped
from tuning.trials.margin import margin
from tuning.trials.worker_study import FoldRows, WorkerStudy, worker_study


def train_finalist(job: FinalistJob, context: Context) -> dict[str, Any]:
    """Train parameters on a fresh seed and keep the outcome and, without `--cv`, the weights.

    Returns:
        `number`, `index`, `seed`, `value` (objective; with `--cv` the mean over folds; None if it
        diverged), `epochs` (of the weights that were kept), `weights` (file name, or None), when
        and where it was trained.
    """
    began = time.time()
    bench = worker_study(job.source, job.overrides, job.pinned)
    seed = derive_seed(bench.study.seed, "finalist", job.index)
    if bench.study.trainer == "function":
        return function_finalist(bench.study, job, seed, context.slot)

    def on_epoch(row: Mapping[str, float]) -> str:
        return context.report(
            EpochReport(job.number, int(row["epoch"]), row[bench.study.objective.metric], row, 0.0)
        )

    fits = [
        _trained(bench, job.params, job.epochs, rows, seed, on_epoch=on_epoch)
        for rows in _parts(bench, job.fold)
    ]
    results = [item.result(bench, seed) for item in fits]
    weights = None
    if bench.study.cv is None or job.fold == ALL_ROWS:
        weights = job.file.with_suffix(".npz")
        save_checkpoint(weights, fits[0].fit.model, results[0].best_epoch)
    outcome = {
        "number": job.number,
        "index": job.index,
        "seed": seed,
        "weights": None if weights is None else weights.name,
        "value": None
        if any(i.judge.diverged for i in fits)
        else float(np.mean([r.value for r in results])),
        "epochs": results[0].best_epoch,
        "training_s": sum(result.seconds for result in results),
        "seconds": time.time() - began,
        "slot": context.slot,
        "started_at": began,
        "ended_at": time.time(),
    }
    write_json(job.file, outcome)
    return outcome


def _parts(bench: WorkerStudy, fold: int | str | None) -> list[FoldRows]:
    if isinstance(fold, str):
        return [bench.final()]
    return [bench.fold(number) for number in (range(bench.n_fits) if fold is None else [fold])]


def _trained(
    bench: WorkerStudy,
    params: Mapping[str, Any],
    epochs: int,
    rows: FoldRows,
    seed: int,
    *,
    on_epoch: Callable[[Mapping[str, float]], str] | None = None,
) -> FoldFit:
    item = prepare_fit(bench, params, epochs, rows, seed, on_epoch=on_epoch)
    for _ in item.fit.epochs():
        pass
    if item.judge.verdict == "stop":
        raise Stopped("a finalist")
    return item


def evaluate_winner(job: EvaluationJob, context: Context) -> dict[str, Any]:
    """Score the winner once on the test part, save it for raw inputs, check the saved file, fit the
    baselines.

    Returns:
        `test` {metric: value}, `baseline` {"dummy": {…}, "linear": {…}}, `margin` (of the
        objective, over the linear baseline, see there; None where there is none), `model` (path),
        `sha256` (of the file), `parameters` (count), `reload_error` (largest difference of the
        reloaded model's predictions; None where the file holds a lambda, which is code that Keras
        rightly refuses to load).

    Raises:
        TuningError: The reloaded model predicts something else; or the winner diverged on all rows,
            with `--cv`.
    """
    known = read_json(job.file)
    if known is not None and job.saved.exists():
        return dict(known)
    bench = worker_study(job.source, job.overrides, job.pinned)
    if bench.study.trainer == "function":
        return function_winner(bench.study, job)
    rows = bench.final()
    model = _winner(bench, job, rows)
    raw, y = bench.parts.test.X, bench.parts.test.y
    predicted = predict(model, rows.scaler.transform(raw))
    save_for_raw_inputs(model, rows.scaler, job.saved, raw.shape[1:])
    difference = _reload_error(job.saved, bench, raw, predicted)
    if difference is not None and not difference <= 1e-3 * max(
        1.0, float(np.max(np.abs(predicted)))
    ):
        raise TuningError(
            f"the saved winner predicts something else than the trained one: they differ by {difference}"
        )
    task, found = bench.parts.task, linked(link_of(model), predicted)
    beside = baselines(task, rows, rows.scaler.transform(raw), y)
    outcome = {
        "test": scores(task, y, found),
        "baseline": {name: scores(task, y, theirs) for name, theirs in beside.items()},
        "margin": margin(bench.study.objective.name, task, y, found, beside["linear"]),
        "model": str(job.saved),
        "sha256": hashlib.sha256(job.saved.read_bytes()).hexdigest(),
        "parameters": int(model.count_params()),
        "reload_error": difference,
    }
    write_json(job.file, outcome)
    return outcome


def save_for_raw_inputs(
    model: keras.Model, scaler: Scaling, path: Path, input_shape: tuple[int, ...] | None = None
) -> None:
    """Save a model as `.keras` with its scaling inside: the file takes features as the data set has
    them.

    Keras has no layer for empty cells and categories: the figures of a user's table are kept as
    JSON beside the model, and `inputs_of` makes what it takes. A subclass of `keras.Model` does not
    tell its `input_shape`: it must be given.
    """
    beside = _figures_of(path)
    if isinstance(scaler, TableScaler):
        write_json(beside, scaler.to_json())
    else:
        beside.unlink(missing_ok=True)
    if isinstance(scaler, Scaler) and scaler.mean is not None and scaler.deviation is not None:
        shape = model.inputs[0].shape[1:] if input_shape is None else input_shape
        inputs = keras.Input(
            shape, dtype="float64"
        )  # a date in seconds must be centred before it is rounded
        mean, factor = (np.asarray(a).reshape(shape) for a in (scaler.mean, 1.0 / scaler.deviation))
        # Not Normalization: it divides by 1e-7 at least, and rounds its figures to float32 when it
        # is loaded.
        centred = keras.layers.Rescaling(1.0, -mean, name="centring", dtype="float64")(inputs)
        scaled = keras.layers.Rescaling(factor, name="scaling", dtype="float64")(centred)
        model = keras.Model(inputs, model(scaled), name=f"{model.name}_on_raw_inputs")
    _save(model, path)


def inputs_of(path: Path, rows: Any) -> Array:
    """Return rows of a table as the model saved at `path` takes them, float32 `(rows, inputs)`.

    A model with its scaling inside has no figures beside it: it takes rows as they are.

    Args:
        path: The `.keras` file; what its columns mean stands in a JSON file beside it.
        rows: A DataFrame with the columns that were trained on, in any order and beside any others:
            categories are found again by their names. An array, `(rows, columns)`, only where no
            column holds categories.

    Raises:
        StudyError: A column is missing, or an array is given where categories would have to be
            guessed.
    """
    scaler = _scaler_beside(path)
    if scaler is None:
        return np.asarray(rows)
    if hasattr(rows, "columns"):
        return scaler.transform(encode(rows, scaler.columns))
    if named := [column.name for column in scaler.columns if column.categories]:
        raise StudyError(
            f"give a DataFrame: the numbers of an array do not tell the categories of {', '.join(named)}"
        )
    return scaler.transform(np.asarray(rows, float))


def _scaler_beside(path: Path) -> TableScaler | None:
    figures = read_json(_figures_of(path))
    return None if figures is None else TableScaler.from_json(figures)


def _figures_of(path: Path) -> Path:
    return path.with_suffix(".preprocessing.json")


def _save(model: keras.Model, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.stem}.tmp.keras")
    model.save(temporary)
    temporary.replace(path)


def _winner(bench: WorkerStudy, job: EvaluationJob, rows: FoldRows) -> keras.Model:
    """Return the trained model: built again by the builder, with the weights that were kept."""
    if job.weights is None:
        item = _trained(bench, job.params, job.epochs, rows, job.seed)
        if item.judge.diverged:
            raise TuningError(
                "the winner diverged when it was trained on all rows; lower the learning rates of the space"
            )
        return item.fit.model
    model = prepare_fit(bench, job.params, job.epochs, rows, job.seed).fit.model
    load_checkpoint(job.weights, model)
    return model


def _reload_error(path: Path, bench: WorkerStudy, raw: Array, predicted: Array) -> float | None:
    try:
        model = keras.saving.load_model(path, compile=False, custom_objects=_custom(bench))
    except ValueError as error:
        if "safe_mode" in str(error) or "unsafe" in str(error):
            return None
        raise
    scaler = _scaler_beside(path)
    return float(
        np.max(np.abs(predict(model, raw if scaler is None else scaler.transform(raw)) - predicted))
    )


def _custom(bench: WorkerStudy) -> dict[str, Any]:
    """Return the user's own layers and functions by name: whatever the builder's module defines.

    A module that imports Keras only when needed has a function `custom_objects()` that returns
    them.
    """
    home = bench.study.builder.__module__
    defined = vars(sys.modules[home]) if home in sys.modules else {}
    own = {
        name: value for name, value in defined.items() if getattr(value, "__module__", None) == home
    }
    return own | (own["custom_objects"]() if "custom_objects" in own else {})
