"""What a benchmark leaves besides its files: the report, MLflow, and the one object of `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tuning.bench.plan import BenchPlan
from tuning.bench.report.page import Written
from tuning.bench.run import BenchedStudy
from tuning.bench.runs import BenchRun
from tuning.bench.statistics.overview import Statistics
from tuning.reports.summary import plain_json
from tuning.schema import Json
from tuning.tracking.bench_runs import CurvePoint, CurveRun, record_bench


def to_mlflow(
    uri: str, home: Path, studies: Sequence[BenchedStudy], plan: BenchPlan
) -> list[dict[str, str]]:
    """Write each study's searches into MLflow; the process must have `mlflow_store.QUIET` set.

    Returns:
        `tracking_uri` and `experiment_id` of each study.

    Raises:
        StorageError: The store cannot be reached.
    """
    places = []
    for study in studies:
        runs = [_curve_run(run, plan) for run in study.runs]
        places.append(record_bench(uri, home, study.name, runs).to_json())
    return places


def _curve_run(run: BenchRun, plan: BenchPlan) -> CurveRun:
    curve = run.curve
    metric = curve.metric.removeprefix("val_")
    points = []
    for epochs, seconds, value, test in zip(
        curve.epochs, curve.seconds, curve.values, curve.tests, strict=True
    ):
        scores = {f"best_{curve.metric}": value, f"best_test_{metric}": test}
        points.append(CurvePoint(epochs, seconds, _without_none(scores)))

    params: dict[str, Any] = {
        "engine": curve.engine,
        "seed": curve.seed,
        "budget": plan.budget.text,
        "ended": run.ended,
    }
    if run.best is not None:
        params |= {f"best.{name}": value for name, value in run.best.params.items()}

    finals = {f"trials_{name}": float(count) for name, count in asdict(run.counts).items()}
    finals["engine_s"] = sum(curve.asked_s)
    return CurveRun(
        id=run.search,
        name=f"{curve.engine} seed {curve.seed}",
        params=params,
        tags={
            "study": curve.study,
            "engine": curve.engine,
            "budget": plan.budget.text,
            "error": run.error,
        },
        points=points,
        finals=finals,
        ended_at=run.at,
        failed=run.ended == "failed",
    )


def _without_none(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {name: score for name, score in scores.items() if score is not None}


def as_json(
    studies: Sequence[BenchedStudy],
    plan: BenchPlan,
    statistics: Statistics,
    written: Written,
    mlflow: list[dict[str, str]],
) -> dict[str, Any]:
    """Return what `--json` prints; medians by study and engine, comparisons by study."""
    figures = plain_json(statistics.to_json())
    medians = {}
    comparisons = {}
    for study in figures["studies"]:
        name = study["study"]
        medians[name] = {engine["engine"]: _without_name(engine) for engine in study["engines"]}
        comparisons[name] = study["pairs"]

    return {
        "study": ",".join(medians),
        "engines": [choice.name for choice in plan.choices],
        "seeds": plan.seeds,
        "budget": plan.budget.text,
        "medians": medians,
        "comparisons": comparisons,
        "ranks": figures["ranks"],
        "failed": sum(run.ended == "failed" for study in studies for run in study.runs),
        "mlflow": mlflow,
        "report": str(written.page),
        "pictures": [str(path) for path in written.pictures],
    }


def _without_name(engine: Json) -> Json:
    return {figure: value for figure, value in engine.items() if figure != "engine"}
