"""Compare the searches of two state folders to the last digit.

Usage: compare_ledgers.py HOME OTHER_HOME

For a change that must change no result: give the same commands under both commits, each with a
TUNING_HOME of its own and `--deterministic`, then this script. Times, places and ids differ from
run to run and are left out. Exit code 1 where anything else differs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What differs from run to run of one commit, or names the form of a file and not its content.
PASSING = {
    "asked_at", "at", "created_at", "started_at", "ended_at",
    "seconds", "training_s", "fit_time", "score_time", "rss_mb",
    "slot", "id", "model", "sha256", "schema", "notes", "notices",
    "proposal_digest", "digest", "cpu_s", "gpu_s", "gpu_mb", "samples", "used",
}  # fmt: skip
# Of a search's header: what it is a search of.
OF_THE_HEADER = ("study", "engine", "variant", "definition", "study_hash", "data", "trials")
# Stamps and paths of files, which are each state folder's own.
MARKS = ("report.json", "written.json")
# What was used is kept only of attempts that took a while or were stopped.
# What a winner's outputs mean, and its example, were not kept by earlier commits.
NOT_COMPARED = ("usage.json", "winner.outputs.json", "winner.example.json")
LEFT_OUT = ("mlflow.json", "status.json", *MARKS)


def steady(content: Any) -> Any:
    """Return JSON without what differs from run to run."""
    if isinstance(content, dict):
        return {key: steady(value) for key, value in content.items() if key not in PASSING}
    if isinstance(content, list):
        return [steady(item) for item in content]
    return content


def contents(file: Path) -> Any:
    """Return what is compared of one file."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if file.name == "search.json":
        content = {key: content.get(key) for key in OF_THE_HEADER}
    if file.name == "spec.json":
        content.pop("study", None)  # asks of earlier versions do not name it
    if file.name == "winner.json":
        content.pop("search", None)  # its id
    return steady(content)


def files_of(ledger: Path) -> set[Path]:
    """Return the files that are compared, by their paths in the ledger."""
    files = (file.relative_to(ledger) for file in ledger.rglob("*.json"))
    return {file for file in files if file.name not in NOT_COMPARED}


def differences(ledger: Path, other: Path) -> Iterator[str]:
    """Yield a line for each file that only one ledger has, or that differs."""
    files = files_of(ledger)
    other_files = files_of(other)

    for file in sorted(files ^ other_files):
        yield f"only in {ledger if file in files else other}: {file}"

    for file in sorted(files & other_files):
        if file.name in LEFT_OUT:
            continue
        before, after = contents(ledger / file), contents(other / file)
        if before != after:
            names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            yield f"{file} differs in {', '.join(names)}"


def main(home: str, other_home: str) -> int:
    """Print what differs; return the exit code."""
    ledger, other = Path(home) / "ledger", Path(other_home) / "ledger"
    count = sum(1 for _ in ledger.rglob("*.json"))
    if count == 0:
        print(f"there is no search in {ledger}")
        return 2

    lines = list(differences(ledger, other))
    for line in lines:
        print(line)
    print(f"{count} files compared: {f'{len(lines)} differ' if lines else 'all equal'}")
    return 1 if lines else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
