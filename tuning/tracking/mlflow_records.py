"""How our records look in MLflow: names, parameters, metrics, tags. No call to MLflow is made here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning.ledger.records import WinnerRecord
from tuning.tracking.base import Progress, SearchRecord
from tuning.trial import Proposal, Status, TrialResult

POINTS = 40
"""Most points of a trial's curve; the whole of it is in the ledger's `result.json`."""

STATUSES = {
    Status.COMPLETED: "FINISHED",
    Status.PRUNED: "KILLED",
    Status.FAILED: "FAILED",
    Status.DIVERGED: "FAILED",
    Status.INFEASIBLE: "FAILED",
}
ENDS = {"completed": "FINISHED", "exhausted": "FINISHED", "timeout": "FINISHED", "failed": "FAILED"}
"""How a search ended → MLflow's status; whatever else ended it has KILLED it."""

_UNFIT = re.compile(r"[^\w\-./ :]")  # what MLflow refuses in names
# All before the last @ is taken as secret: database drivers accept passwords with / and @ in them.
_SECRET = re.compile(r"(?<=://)\S+(?=@)")


@dataclass(frozen=True)
class Point:
    """One metric at one step; `at_ms` in milliseconds since the epoch."""

    key: str
    value: float
    step: int
    at_ms: int


def without_secrets(text: str) -> str:
    """Return `text` with user names and passwords of URLs replaced by `***`."""
    return _SECRET.sub("***", text)


def text_of(value: Any, limit: int) -> str:
    """Return a value as MLflow stores it: text without secrets, cut at `limit` characters."""
    plain = without_secrets(value if isinstance(value, str) else str(value))
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def texts(values: Mapping[str, Any], limit: int = 5000) -> dict[str, str]:
    """Return names and values that MLflow accepts."""
    return {_name(name): text_of(value, limit) for name, value in values.items()}


def milliseconds(seconds: float) -> int:
    """Return MLflow's unit."""
    return round(seconds * 1000)


def attempt_id(search: str, kind: str, *ranks: int) -> str:
    """Return what names one fit for ever: it is looked for before a run is made."""
    return "/".join([search, kind, *map(str, ranks)])


def trial_tags(search: SearchRecord, proposal: Proposal, result: TrialResult) -> dict[str, str]:
    """Return the tags of a trial's run."""
    tags = {
        **search.tags,
        "kind": "trial",
        "search": search.id,
        "study": search.study,
        "engine": search.engine,
        "trial": result.number,
        "attempt": result.attempt,
        "status": result.status.value,
        "seed": result.seed,
        "device": result.slot,
        "epochs_asked": proposal.epochs,
        "parent_trial": proposal.parent,
        "copied_from": result.copied_from,
        "error": result.error,
        "notes": "; ".join(result.notices),
        "diagnosis": "; ".join(f"{verdict.name}: {verdict.words}" for verdict in result.diagnosis),
    }
    return texts({name: value for name, value in tags.items() if value not in (None, "")})


def trial_points(search: SearchRecord, result: TrialResult) -> list[Point]:
    """Return a trial's curve, thinned, and its final metrics; what is not finite is left out.

    The final metrics are those of the weights kept. They carry the last epoch's step and the latest
    time, so that MLflow shows them, not the last epoch's, as the metrics of the run.
    """
    points = list(_curve_points(result))
    last = max((point.step for point in points), default=result.epochs)
    final = {
        **result.metrics,
        "epochs": result.epochs,
        "seconds": result.seconds,
        "training_s": result.training_s,
        "rss_mb": result.rss_mb,
    }
    if result.folds:
        final["best_epoch"] = sum(fold.best_epoch for fold in result.folds) / len(result.folds)
    if result.value is not None:
        final[search.metric] = result.value
    end = (
        milliseconds(result.ended_at) + 1
    )  # of two values at one step and time MLflow shows the larger
    last_values = {point.key: point.value for point in points if point.step == last}
    points += [
        Point(_name(name), float(value), last, end)
        for name, value in final.items()
        if math.isfinite(value) and last_values.get(_name(name)) != value
    ]
    return points


def fold_table(result: TrialResult) -> dict[str, list[Any]]:
    """Return a column for each thing known of the folds, a row for each fold; empty without `--cv`."""
    if len(result.folds) < 2:
        return {}
    names = sorted({name for fold in result.folds for name in fold.metrics})
    rows = [
        {
            "fold": f.fold,
            "value": f.value,
            "best_epoch": f.best_epoch,
            "seconds": round(f.seconds, 3),
            "seed": f.seed,
            **{name: f.metrics.get(name) for name in names},
        }
        for f in result.folds
    ]
    return {name: [_finite(row[name]) for row in rows] for name in rows[0]}


def parent_tags(search: SearchRecord) -> dict[str, str]:
    """Return the tags of a search's run."""
    named = {"kind": "search", "search": search.id, "study": search.study, "engine": search.engine}
    shown = {"mlflow.source.name": f"studies/{search.study}", "mlflow.source.type": "LOCAL"}
    commit = (
        {"mlflow.source.git.commit": search.tags["git_commit"]}
        if "git_commit" in search.tags
        else {}
    )
    return texts(
        {
            **search.tags,
            **named,
            "objective": f"{search.direction} {search.metric}",
            **shown,
            **commit,
        }
    )


def progress_metrics(search: SearchRecord, points: Sequence[Progress], above: int) -> list[Point]:
    """Return the anytime curve and the counters, for the points above step `above`."""
    found = []
    for point in points:
        if point.finished > above:
            values: dict[str, float] = {**point.counts, "trials": point.finished}
            if point.best is not None:
                values[f"best_{search.metric}"] = point.best[0]
            at = milliseconds(point.at)
            found += [
                Point(_name(name), float(value), point.finished, at)
                for name, value in values.items()
            ]
    return found


def progress_tags(search: SearchRecord, now: Progress) -> dict[str, Any]:
    """Return the description at the head of a search's page, and its best trial."""
    counts = ", ".join(f"{count} {name}" for name, count in now.counts.items() if count)
    text = f"**{search.engine}** on study `{search.study}`: {now.finished} trials ({counts})."
    if now.best is None:
        return {"mlflow.note.content": text}
    best, number = now.best
    return {
        "mlflow.note.content": f"{text} Best {search.metric}: **{best:.4g}** (trial {number}).",
        "best_trial": number,
    }


def winner_metrics(winner: WinnerRecord) -> dict[str, float]:
    """Return every finite number of `winner.json` under its path: `test_rmse`,
    `baseline_linear_rmse`, …
    """
    left_out = ("schema", "params", "number", "seed", "at")
    stored = winner.to_json()
    return dict(_numbers({name: stored[name] for name in stored if name not in left_out}))


def dataset_texts(dataset: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of MLflow's `Dataset` entity."""
    source = str(dataset.get("source") or dataset.get("name", "data"))
    names = dataset.get("features") or []
    columns = [{"name": name, "type": "double", "required": True} for name in names]
    facts = ("rows", "train", "validation", "test", "input_shape", "task", "classes", "unit")
    profile = {name: dataset[name] for name in facts if dataset.get(name)}
    return {
        "name": text_of(dataset.get("name", "data"), 500),
        "digest": str(dataset.get("digest", ""))[:16] or "unknown",
        "source_type": "http" if source.startswith(("http://", "https://")) else "local",
        "source": json.dumps(
            {"url" if source.startswith("http") else "uri": without_secrets(source)}
        ),
        "schema": json.dumps({"mlflow_colspec": columns} if columns else {}),
        "profile": json.dumps(profile),
    }


VIEW = "tuning"
"""Name of the view that shows a study's searches with the columns that matter; without it MLflow
hides them all.
"""


def view_tag(search: SearchRecord) -> tuple[str, str]:
    """Return the tag of a study's experiment that holds the view: metrics and parameters as
    columns.
    """
    name = search.metric.removeprefix("val_")
    metrics = [search.metric, f"best_{search.metric}", f"test_{name}", "epochs", "seconds"]
    params = [key.removeprefix("space.") for key in search.params if key.startswith("space.")]
    return view_of(metrics, params, ("engine", "status"))


def view_of(
    metrics: Sequence[str], params: Sequence[str], tags: Sequence[str] = ()
) -> tuple[str, str]:
    """Return an experiment's tag that shows these columns.

    The format is that of the page's own "share" button (MLflow 3.17, plain JSON is accepted).
    """
    named = (("metrics", metrics), ("params", params), ("tags", tags))
    columns = [f"{kind}.`{name}`" for kind, names in named for name in names]
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
    }
    return f"mlflow.sharedViewState.{VIEW}", json.dumps(state)


def _name(name: str) -> str:
    return _UNFIT.sub("_", name)[:250]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _curve_points(result: TrialResult) -> Iterator[Point]:
    curve = result.curve
    if not curve:
        return
    first, last = curve[0]["epoch"], curve[-1]["epoch"]
    for row in thinned(curve):
        share = (row["epoch"] - first + 1) / (last - first + 1)
        at = milliseconds(result.started_at + share * max(result.ended_at - result.started_at, 0.0))
        for name, value in row.items():
            if name != "epoch" and math.isfinite(value):
                yield Point(_name(name), float(value), int(row["epoch"]), at)


def thinned(
    curve: Sequence[Mapping[str, float]], points: int = POINTS
) -> list[Mapping[str, float]]:
    """Return at most `points` rows, evenly spread, the first and the last among them."""
    if len(curve) <= points:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (points - 1))] for i in range(points)]


def _numbers(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        key = f"{path}{name}"
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{key}_")
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            yield _name(key), float(value)
