"""What a benchmark leaves besides its files: the report, MLflow, and the one object of `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.bench.plan import BenchPlan
from tuning.bench.report.page import Written
from tuning.bench.run import Benched
from tuning.bench.runs import BenchRun
from tuning.bench.statistics.overview import Statistics
from tuning.reports.summary import plain_json
from tuning.tracking.bench_runs import CurveRun, record_bench


def to_mlflow(
    uri: str, home: Path, benched: Sequence[Benched], plan: BenchPlan
) -> list[dict[str, str]]:
    """Write each study's searches into MLflow; the process must have `mlflow_store.QUIET` set.

    Returns:
        `tracking_uri` and `experiment_id` of each study.

    Raises:
        StorageError: The store cannot be reached.
    """
    return [
        record_bench(
            uri, home, each.looked.record.name, [_curve_run(run, plan) for run in each.runs]
        )
        for each in benched
    ]


def _curve_run(run: BenchRun, plan: BenchPlan) -> CurveRun:
    curve = run.curve
    name = curve.metric.removeprefix("val_")
    points = [
        (epochs, seconds, _known({f"best_{curve.metric}": value, f"best_test_{name}": test}))
        for epochs, seconds, value, test in zip(
            curve.epochs, curve.seconds, curve.values, curve.tests, strict=True
        )
    ]
    best = {f"best.{name}": value for name, value in run.best.get("params", {}).items()}
    params = {
        "engine": curve.engine,
        "seed": curve.seed,
        "budget": plan.budget.text,
        "ended": run.ended,
        **best,
    }
    finals = {
        **{f"trials_{name}": float(count) for name, count in run.counts.items()},
        "engine_s": sum(curve.asked_s),
    }
    tags = {
        "study": curve.study,
        "engine": curve.engine,
        "budget": plan.budget.text,
        "error": run.error,
    }
    return CurveRun(
        run.search,
        f"{curve.engine} seed {curve.seed}",
        params,
        tags,
        points,
        finals,
        run.at,
        run.ended == "failed",
    )


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def as_json(
    benched: Sequence[Benched],
    plan: BenchPlan,
    found: Statistics,
    written: Written,
    mlflow: list[dict[str, str]],
) -> dict[str, Any]:
    """Return what `--json` prints; medians by study and engine, comparisons by study."""
    told = plain_json(found.to_json())
    return {
        "study": ",".join(figures["study"] for figures in told["studies"]),
        "engines": [choice.name for choice in plan.choices],
        "seeds": plan.seeds,
        "budget": plan.budget.text,
        "medians": {figures["study"]: _medians(figures["engines"]) for figures in told["studies"]},
        "comparisons": {figures["study"]: figures["pairs"] for figures in told["studies"]},
        "ranks": told["ranks"],
        "failed": sum(run.ended == "failed" for each in benched for run in each.runs),
        "mlflow": mlflow,
        "report": str(written.page),
        "pictures": [str(path) for path in written.pictures],
    }


def _medians(engines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        engine["engine"]: {name: value for name, value in engine.items() if name != "engine"}
        for engine in engines
    }
