"""What is compared at the end of a life, by the kind of its command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos.bad import EXPECTED
from tests.chaos.command import Command
from tests.chaos.nothing_lost import Findings, check_leases, nothing_lost, opened, results_of
from tests.chaos.plans import Plan

_LOGS_MB = 12  # two files of 5 MB a slot; three trials print more


def trials_of(home: Path) -> list[Path]:
    """Return the files of everything that was trained, of searches and of benchmarks."""
    patterns = (
        "ledger/*/*/trials/*/result.json",
        "ledger/*/*/finalists/*/[0-9]*.json",
        "bench/*/*/*/trials/*/result.json",
    )
    return sorted(path for pattern in patterns for path in home.glob(pattern))


def outcome_of(home: Path) -> dict[str, Any]:
    """Return what a search has come to: parameters and value by trial, whatever the attempts."""
    outcome = {}
    for path in trials_of(home):
        stored = json.loads(path.read_bytes())
        spec = path.parent / "spec.json"
        params = json.loads(spec.read_bytes())["params"] if spec.exists() else None
        # Ids of searches are random: only what lies below the search counts.
        outcome["/".join(path.parts[-3:-1] + path.parts[-5:-3])] = [params, stored["value"]]
    return outcome


def check_whole(plan: Plan, command: Command, findings: Findings, reference: Any) -> None:
    """Add what is wrong at the end of a life."""
    if plan.kind in ("search", "bad", "resize"):
        storage = command.environment.get("TUNING_STORAGE", "")
        found = nothing_lost(command.home, command.leases, trials=plan.trials, storage=storage)
        findings.lost += found.lost
        findings.doubled += found.doubled
        findings.other += found.other
        _check_best(command, findings)
        if plan.kind == "bad":
            _check_bad(command.home, findings)
    elif plan.kind == "bench":
        _check_bench(command, findings)
    else:
        _check_range_tests(command, findings)
    check_leases(command.leases, findings)
    if "Traceback" in command.output:
        findings.other.append(f"a traceback: {command.output[-800:]}")
    if reference is not None:
        _compare(outcome_of(command.home), reference, findings)


def _compare(outcome: dict[str, Any], reference: dict[str, Any], findings: Findings) -> None:
    missing = sorted(reference.keys() - outcome.keys())
    if missing:
        findings.lost.append(f"an undisturbed search has {len(missing)} besides: {missing[:4]}")
    more = sorted(outcome.keys() - reference.keys())
    if more:
        findings.doubled.append(f"an undisturbed search has not {len(more)}: {more[:4]}")
    for name in sorted(outcome.keys() & reference.keys()):
        if outcome[name] != reference[name]:
            findings.other.append(f"{name} is {outcome[name]}, undisturbed {reference[name]}")
            return  # what comes after it follows from it


def _check_best(command: Command, findings: Findings) -> None:
    """The best of the last summary is the best of the files."""
    summaries = [line for line in command.output.splitlines() if line.startswith('{"study"')]
    values = []
    for path in trials_of(command.home):
        if path.name == "result.json":
            stored = json.loads(path.read_bytes())
            if stored["status"] == "completed":
                values.append(stored["value"])
    if not summaries:
        findings.other.append("no summary was printed")
    elif json.loads(summaries[-1])["best"]["value"] != min(values):
        findings.other.append(f"the best of the files is {min(values)}: {summaries[-1]}")


def n_bad(home: Path) -> int:
    """Return how many trials of `bad.py` did something bad and have ended."""
    return sum(kind != "none" for kind, _ in _bad_trials(home))


def _bad_trials(home: Path) -> Iterator[tuple[str, str]]:
    """Yield what each trial of `bad.py` did, and how it ended."""
    for path in home.glob("ledger/*/*/trials/*/result.json"):
        spec = json.loads((path.parent / "spec.json").read_bytes())
        yield spec["params"]["fault"], json.loads(path.read_bytes())["status"]


def _check_bad(home: Path, findings: Findings) -> None:
    for kind, status in _bad_trials(home):
        if status != EXPECTED[kind]:
            findings.other.append(f"a trial that does {kind} is {status}, not {EXPECTED[kind]}")
    log_mb = sum(path.stat().st_size for path in home.glob("ledger/*/*/logs/*")) / 2**20
    if log_mb > _LOGS_MB:
        findings.other.append(f"the logs take {log_mb:.0f} MB")


def _check_bench(command: Command, findings: Findings) -> None:
    folders = [path.parent for path in command.home.glob("bench/*/*/*/run.json")]
    if len(folders) != 4:
        findings.lost.append(f"{len(folders)} of 4 searches have ended")
    for folder in folders:
        results = results_of(folder, findings)
        run = json.loads((folder / "run.json").read_bytes())
        total = sum(run["counts"][name] for name in ("completed", "pruned", "failed", "infeasible"))
        if total != len(results):
            findings.lost.append(f"{folder.name} counts {total} of {len(results)} trials")
        values = [result["value"] for result in results.values()]
        if run["best"]["value"] != min(values):
            findings.other.append(f"{folder.name}: best {run['best']}, files {min(values)}")
    _check_runs(command.home, "bench", len(folders), findings)


def _check_range_tests(command: Command, findings: Findings) -> None:
    n_whole = len(list(command.home.glob("reports/*.json")))
    n_written = sum(line.startswith("{") for line in command.output.splitlines())
    if n_written < 1:
        findings.lost.append("no range test has come to its end")
    if n_written > n_whole:
        findings.lost.append(f"{n_whole} of {n_written} range tests have their files")
    _check_runs(command.home, "lr_range", n_written, findings, at_most=n_whole)


def _check_runs(
    home: Path, kind: str, count: int, findings: Findings, at_most: int | None = None
) -> None:
    with opened(home / "mlflow.db") as db:
        states = db.execute(
            "SELECT r.status FROM runs r JOIN tags k ON k.run_uuid = r.run_uuid "
            "AND k.key = 'kind' AND k.value = ? WHERE r.lifecycle_stage = 'active'",
            (kind,),
        ).fetchall()
    running = [state for (state,) in states if state == "RUNNING"]
    findings.other += ["a run says RUNNING"] * len(running)
    n_ended = len(states) - len(running)
    if n_ended < count:
        findings.lost.append(f"MLflow has {n_ended} of {count} runs of kind {kind}")
    if n_ended > (count if at_most is None else at_most):
        findings.doubled.append(f"MLflow has {n_ended} runs of kind {kind}, not {count}")
