"""`nothing_lost`: whether the files, MLflow and Optuna's storage say the same, and nothing is held.

Reads files and databases itself, not by the code that wrote them.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuning.executors.devices.leases import Leases

_WHOLE_CURVES = 50
_ENDED = ("completed", "exhausted", "budget")


@dataclass
class Findings:
    """What is wrong, in words; all empty where nothing is.

    Attributes:
        lost: Results that are not where they must be.
        doubled: Results that stand twice, or were trained twice.
        other: What runs, is held or says something else than the files.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.other)


def nothing_lost(home: Path, leases: Path, *, trials: int | None, storage: str = "") -> Findings:
    """Check every search of a home whose last command has ended well and been written.

    Args:
        home: The state folder.
        leases: The folder of the leases.
        trials: How many each search must have; None: as many as it asked for.
        storage: URL of Optuna's storage where it is PostgreSQL; else it is a file in the home.
    """
    findings = Findings()
    folders = [path.parent for path in sorted(home.glob("ledger/*/*/search.json"))]
    if not folders:
        findings.lost.append(f"no search in {home}")
    for folder in folders:
        stored = optuna_rows(storage or home / "optuna.db")
        check_search(folder, home, findings, trials=trials, optuna=stored)
    _check_databases(home, findings, storage)
    check_leases(leases, findings)
    return findings


def opened(database: Path) -> closing[sqlite3.Connection]:
    """Open a database to read it; one that is missing is not made.

    Raises:
        sqlite3.OperationalError: It is missing.
    """
    return closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30))


def check_search(
    folder: Path, home: Path, findings: Findings, *, trials: int | None, optuna: list[Any]
) -> None:
    """Compare one search's files with each other and with both stores."""
    results = results_of(folder, findings)
    if trials is not None and len(results) != trials:
        findings.lost.append(f"{len(results)} of {trials} trials have a result")

    status = _json(folder / "status.json")
    if status is None or status["status"] not in _ENDED:
        findings.other.append(f"status.json says {status}")
    search = _json(folder / "search.json")
    if search is None:
        findings.lost.append("search.json is missing")
        return
    _check_mlflow(home / "mlflow.db", search, results, findings)
    _check_optuna([row[1:] for row in optuna if row[0] == search["id"]], results, findings)
    _check_winner(folder, results, findings)


def results_of(folder: Path, findings: Findings) -> dict[int, Any]:
    """Return the results of a search by number; an ask without one is a finding.

    A trial that was begun again after its result was there was trained twice.
    """
    results = {}
    for spec in sorted(folder.glob("trials/*/spec.json")):
        trial = spec.parent
        result = _json(trial / "result.json")
        if result is None:
            findings.lost.append(f"trial {trial.name} has no result")
            continue
        results[int(trial.name)] = result
        begun = [int(path.name.removeprefix("attempt-")) for path in trial.glob("attempt-*")]
        if result["copied_from"] is None and max(begun, default=1) > result["attempt"]:
            findings.doubled.append(
                f"trial {trial.name} has the result of attempt {result['attempt']} "
                f"and was begun {max(begun)} times"
            )
    numbers = sorted(results)
    if numbers != list(range(len(numbers))):
        findings.lost.append(f"the trials' numbers have gaps: {numbers}")
    return results


def _check_mlflow(database: Path, search: Any, results: dict[int, Any], findings: Findings) -> None:
    metric = (search["objective"]["metric"],)
    with opened(database) as db:
        runs = db.execute(
            "SELECT r.run_uuid, t.value FROM runs r "
            "JOIN tags s ON s.run_uuid = r.run_uuid AND s.key = 'search' AND s.value = ? "
            "JOIN tags k ON k.run_uuid = r.run_uuid AND k.key = 'kind' AND k.value = 'trial' "
            "JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'trial' "
            "WHERE r.lifecycle_stage = 'active'",
            (search["id"],),
        ).fetchall()
        points = Counter(
            run for (run,) in db.execute("SELECT run_uuid FROM metrics WHERE key = ?", metric)
        )
        values = dict(
            db.execute("SELECT run_uuid, value FROM latest_metrics WHERE key = ?", metric)
        )
        running = db.execute(
            "SELECT run_uuid FROM runs WHERE status = 'RUNNING' AND lifecycle_stage = 'active'"
        ).fetchall()
    findings.other += [f"MLflow's run {run} says RUNNING" for (run,) in running]
    _check_once(Counter(int(trial) for _, trial in runs), results, "MLflow", findings)
    for run, trial in runs:
        result = results.get(int(trial))
        if result is not None and isinstance(result["value"], float):
            _check_metrics(result, values.get(run), points[run], findings)


def _check_metrics(result: Any, stored: float | None, n_points: int, findings: Findings) -> None:
    """Compare one trial's value and the length of its curve."""
    trial = result["number"]
    if stored is None or not math.isclose(stored, result["value"], rel_tol=1e-12):
        findings.lost.append(f"MLflow has {stored} for trial {trial}, not {result['value']}")
    # What has more points is thinned there.
    epochs = len(result["folds"][0]["curve"]) if result["folds"] else 0
    if n_points < epochs <= _WHOLE_CURVES:
        findings.lost.append(f"MLflow has {n_points} of {epochs} epochs of trial {trial}")
    if n_points > epochs > 0:
        findings.doubled.append(f"MLflow has {n_points} points of trial {trial}, not {epochs}")


def optuna_rows(place: str | Path) -> list[Any]:
    """Return name of the search, our number, state and value of each trial in Optuna's storage."""
    question = (
        "SELECT s.study_name, a.value_json, t.state, v.value FROM trials t "
        "JOIN studies s ON s.study_id = t.study_id "
        "JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'number' "
        "LEFT JOIN trial_values v ON v.trial_id = t.trial_id"
    )
    if isinstance(place, Path):
        with opened(place) as db:
            return db.execute(question).fetchall()
    import psycopg

    with psycopg.connect(place) as connection:
        return connection.execute(question).fetchall()


def _check_optuna(rows: list[Any], results: dict[int, Any], findings: Findings) -> None:
    states = [state for _, state, _ in rows if state in ("RUNNING", "WAITING")]
    findings.other += [f"Optuna's storage has a trial that says {state}" for state in states]
    _check_once(Counter(int(number) for number, _, _ in rows), results, "Optuna", findings)
    for number, _, value in rows:
        result = results.get(int(number))
        if result is not None and value is not None and value != result["value"]:
            findings.lost.append(f"Optuna's storage has {value} for trial {number}")


def _check_once(
    stored: Counter[int], results: dict[int, Any], store: str, findings: Findings
) -> None:
    missing = sorted(results.keys() - stored.keys())
    if missing:
        findings.lost.append(f"{store} lacks trials {missing}")
    findings.doubled += [
        f"{store} has trial {number} {count} times" for number, count in stored.items() if count > 1
    ]
    foreign = sorted(stored.keys() - results.keys())
    if foreign:
        findings.other.append(f"{store} has trials that the files have not: {foreign}")


def _check_winner(folder: Path, results: dict[int, Any], findings: Findings) -> None:
    """The winner's mean is that of its finalist's files, and the least of all of them."""
    is_completed = any(result["status"] == "completed" for result in results.values())
    winner = _json(folder / "winner.json")
    if winner is None:
        if is_completed:
            findings.lost.append("winner.json is missing")
        return
    means = {}
    for trial in folder.glob("finalists/*"):
        seeds = [_json(path) for path in sorted(trial.glob("[0-9]*.json"))]
        means[int(trial.name)] = sum(seed["value"] for seed in seeds) / len(seeds)
    mean = winner["validation"]["mean"]
    if not means or not math.isclose(mean, min(means.values()), rel_tol=1e-9):
        findings.other.append(f"the winner's mean is {mean}, the finalists' are {means}")


def _check_databases(home: Path, findings: Findings, storage: str) -> None:
    for name in ("mlflow.db", "optuna.db"):
        if storage and name == "optuna.db":
            continue
        with opened(home / name) as db:
            (answer,) = db.execute("PRAGMA integrity_check").fetchone()
        if answer != "ok":
            findings.lost.append(f"{name}: {answer}")
    aside = [path.name for path in home.glob("*.corrupt*")]
    findings.other += [f"{name} was set aside" for name in aside]


def check_leases(folder: Path, findings: Findings) -> None:
    """Try to take every device that was ever leased; look for places in the line."""
    if not folder.exists():
        return
    leases = Leases(folder)
    try:
        for path in folder.glob("device-*"):
            name = json.loads(path.read_text() or "{}").get("device")
            lease = leases.try_acquire(name) if name else None
            if name and lease is None:
                findings.other.append(f"device {name} is held by {leases.holder(name)}")
            elif lease is not None:
                lease.release()
    finally:
        leases.close()


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        return {"damaged": str(error)}
