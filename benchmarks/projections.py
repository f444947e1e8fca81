"""How soon MLflow and Optuna's storage have a search, and what memory the writer takes for it.

`python -m benchmarks.projections --trials 10000` makes the ledger of a search of quick trials,
three metrics each, as a driver and its workers would have left it; then the writer brings both
stores up to date. Prints a line a second of the writer's time, and the seconds that each took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tuning.ledger.begin import begin
from tuning.ledger.records import SearchHeader, SearchStatus
from tuning.ledger.search import SearchFiles
from tuning.space.domains import Float, Int
from tuning.space.space import Space
from tuning.study.objective import Minimize
from tuning.tracking.writer import Writer
from tuning.trial import Proposal, Status, TrialResult

SPACE = Space({"n": Int(1, 100), "lr": Float(1e-4, 1e-1, log=True), "decay": Float(0.0, 1.0)})
STARTED_AT = 1_760_000_000.0
LONGEST_S = 3600.0


def make_search(home: Path, trials: int) -> SearchFiles:
    """Leave the files of a finished search in `home`; nothing is trained."""
    header = SearchHeader(
        study="quick",
        engine="optuna:random",
        objective=Minimize("val_rmse"),
        versions=({"name": "quick", "objective": "minimize val_rmse", "epochs": 1},),
        spaces_json=(SPACE.to_json(),),
        trials=trials,
    )
    files = begin(
        home / "ledger" / "quick" / "optuna-random", header, fresh=False, allow_change=False
    )
    for number in range(trials):
        files.write_spec(_proposal(number))
        files.write_result(_result(number))
    files.write_status(SearchStatus(status="completed", at=STARTED_AT + trials))
    return files


def _proposal(number: int) -> Proposal:
    share = number % 97 / 97
    return Proposal(number, {"n": 1 + number % 100, "lr": 1e-3 + share / 100, "decay": share}, 1)


def _result(number: int) -> TrialResult:
    value = 0.3 + number * 7919 % 1000 / 1000
    return TrialResult(
        number,
        Status.COMPLETED,
        value,
        {"val_rmse": value, "val_loss": value**2, "val_mae": value / 2},
        epochs=1,
        seed=number,
        slot="cpu:0",
        started_at=STARTED_AT + number,
        ended_at=STARTED_AT + number + 0.1,
        seconds=0.1,
        training_s=0.05,
        rss_mb=300.0,
    )


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    trials = parser.parse_args(argv).trials
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        began = time.monotonic()
        files = make_search(home, trials)
        print(f"the ledger of {trials} trials: {time.monotonic() - began:.1f} s", flush=True)
        _measure(home, files, trials)


def _measure(home: Path, files: SearchFiles, trials: int) -> None:
    import psutil

    with Writer.start(home) as writer:
        child = psutil.Process(writer.pid)
        time.sleep(15.0)  # for its imports and the making of the databases
        writer.begin(files.folder)
        began = time.monotonic()
        while writer.progress().written < trials and time.monotonic() < began + LONGEST_S:
            time.sleep(1.0)
            rss_mb = child.memory_info().rss / 2**20
            passed_s = time.monotonic() - began
            n_written = writer.progress().written
            print(f"{passed_s:7.1f} s {n_written:6d} in both {rss_mb:5.0f} MB", flush=True)
        in_both_s = time.monotonic() - began
        warnings = writer.finish(LONGEST_S)
        ended_s = time.monotonic() - began
    print(f"in both stores {in_both_s:.1f} s ({trials / in_both_s:.0f} trials/s)")
    print(f"ended {ended_s:.1f} s; warnings: {warnings}")


if __name__ == "__main__":
    main()
