"""Several searches write to one MLflow server over PostgreSQL, which is killed for a while.

`python -m benchmarks.servers` starts PostgreSQL and MLflow's server on it, and three searches of
200 trials that sleep, each with a state folder of its own as if on a machine of its own; Optuna's
storage is in PostgreSQL too. It does so twice: undisturbed, then with a server that is killed twice
for 30 s. It prints for each search how long no trial ran, and whether the stores have each trial
once. The exit code is 1 where a run is missing or doubled, or a second of training was lost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tracking.servers.mlflow_server import MLflowServer
from tests.tracking.servers.postgres import Postgres
from tuning.tracking.store_drivers import with_driver
from tuning.tracking.writer.note import unwritten

STUDY = Path(__file__).with_name("study.py")
FIRST_TRIALS = 5  # of each search have ended when the server is killed first
BETWEEN_S = 20.0  # from its return to its next end
LONGEST_DELAY_S = 1.0
LONGEST_BEHIND_S = 600.0

ATTEMPTS = (
    "SELECT tags.value FROM tags JOIN runs USING (run_uuid) WHERE tags.key = 'attempt_id' "
    "AND runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED'"
)
TRIALS = (
    "SELECT study_name, value_json FROM trial_user_attributes JOIN trials USING (trial_id) "
    "JOIN studies USING (study_id) WHERE key = 'number'"
)


@dataclass(frozen=True, kw_only=True)
class Outages:
    """When which server is away.

    Attributes:
        times: How often; 0: never.
        seconds: How long each time.
        victim: "mlflow": its server; "postgres": the database below it and below Optuna's storage.
    """

    times: int
    seconds: float
    victim: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one search.

    Attributes:
        search: Its id.
        training_s: From the start of its first trial to the end of its last.
        idle_s: Of that the time in which no trial ran.
        longest_s: The longest time between two trials.
        command_s: Of the whole command, with the winner and the end of writing.
        behind_s: So long after it a writer in the background had something to write.
        trials: Whose results are in its files.
        faults: What a store lacks, or has twice.
    """

    search: str
    training_s: float
    idle_s: float
    longest_s: float
    command_s: float
    behind_s: float
    trials: int
    faults: Sequence[str]


class Machine:
    """A state folder, and the one search in it.

    Args:
        folder: An empty one.
        stores: The variables that name the stores.
    """

    def __init__(self, folder: Path, trials: int, stores: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, mode=0o700)
        self.home = folder / "home"
        self._output = folder / "output"
        self._began = time.monotonic()
        self._command_s = 0.0
        self._behind_s = 0.0
        environment = {
            **os.environ,
            **stores,
            "TUNING_HOME": str(self.home),
            "TUNING_LEASES": str(folder / "leases"),
        }
        words = ["run", str(STUDY), "--trials", str(trials), "--devices", "cpu:1", "--quiet"]
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tuning", *words, "--json"],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def n_done(self) -> int:
        """Return how many trials have their result."""
        return sum(1 for _ in self.home.glob("ledger/*/*/trials/*/result.json"))

    def has_begun(self) -> bool:
        """Whether it trains; or it has ended, and nobody need wait for it."""
        return self.n_done() >= FIRST_TRIALS or self._process.poll() is not None

    def wait(self) -> None:
        """Wait for its end, and until both stores have all of it."""
        exit_code = self._process.wait()
        self._command_s = time.monotonic() - self._began
        if exit_code != 0:
            raise RuntimeError(f"exit code {exit_code}:\n{self._output.read_text()[-3000:]}")
        # What was not written in time a writer goes on with in the background.
        while unwritten(self.home) and self._behind_s < LONGEST_BEHIND_S:
            time.sleep(0.5)
            self._behind_s = time.monotonic() - self._began - self._command_s

    def outcome(self, attempts: Counter[str], stored: Counter[tuple[str, str]]) -> Outcome:
        """Return what came of it.

        Args:
            attempts: How often MLflow has each attempt, of all searches.
            stored: How often Optuna's storage has each trial, by search and number.
        """
        (header,) = self.home.glob("ledger/*/*/search.json")
        search = json.loads(header.read_bytes())["id"]
        results = [
            json.loads(path.read_bytes()) for path in header.parent.glob("trials/*/result.json")
        ]
        results.sort(key=lambda result: float(result["started_at"]))
        idle = [
            later["started_at"] - earlier["ended_at"]
            for earlier, later in itertools.pairwise(results)
        ]
        faults = []
        for result in results:
            number = result["number"]
            n_runs = attempts[f"{search}/trial/{number}/{result.get('attempt', 1)}"]
            n_trials = stored[(search, str(number))]
            if (n_runs, n_trials) != (1, 1):
                faults.append(f"trial {number}: {n_runs} runs, {n_trials} in Optuna's storage")
        if attempts[f"{search}/search"] != 1:
            faults.append(f"{attempts[f'{search}/search']} runs of the search itself")
        return Outcome(
            search=search,
            training_s=results[-1]["ended_at"] - results[0]["started_at"],
            idle_s=sum(idle),
            longest_s=max(idle),
            command_s=self._command_s,
            trials=len(results),
            behind_s=self._behind_s,
            faults=faults,
        )


def disturb(
    name: str, victim: MLflowServer | Postgres, machines: Sequence[Machine], outages: Outages
) -> None:
    """Kill a server and begin it again, as often as `outages` says, while trials run."""

    def say(what: str) -> None:
        n_done = sum(machine.n_done() for machine in machines)
        print(f"{name}: {outages.victim} {what} after {n_done} trials", flush=True)

    for i in range(outages.times):
        if i:
            time.sleep(BETWEEN_S)
        while not all(machine.has_begun() for machine in machines):
            time.sleep(0.1)
        victim.kill()
        say("killed")
        time.sleep(outages.seconds)
        victim.start()
        say("is back")


def run_round(
    folder: Path, name: str, searches: int, trials: int, outages: Outages
) -> list[Outcome]:
    """Run all searches at once on servers of their own; return what came of each."""
    postgres = Postgres()
    server = None
    try:
        postgres.start()
        server = MLflowServer(with_driver(postgres.database("runs")), folder / name / "server")
        server.start()
        stores = {
            "MLFLOW_TRACKING_URI": server.url,
            "TUNING_STORAGE": postgres.database("trials"),
        }
        machines = [Machine(folder / name / f"machine{i}", trials, stores) for i in range(searches)]
        victim = server if outages.victim == "mlflow" else postgres
        disturb(name, victim, machines, outages)
        # At once: each notes when it ended.
        waiting = [threading.Thread(target=machine.wait) for machine in machines]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
        attempts = Counter(attempt for (attempt,) in postgres.execute("runs", ATTEMPTS))
        stored = Counter((str(a), str(b)) for a, b in postgres.execute("trials", TRIALS))
        return [machine.outcome(attempts, stored) for machine in machines]
    finally:
        if server is not None:
            server.close()
        postgres.close()


def print_outcomes(name: str, outcomes: Sequence[Outcome]) -> None:
    """Print a line a search, and its faults."""
    for outcome in outcomes:
        print(
            f"{name:12s} {outcome.search:32s} {outcome.trials:4d} trials in "
            f"{outcome.training_s:6.1f} s, idle {outcome.idle_s:5.2f} s, at most "
            f"{outcome.longest_s * 1000:4.0f} ms at once, command {outcome.command_s:6.1f} s, "
            f"written {outcome.behind_s:5.1f} s later",
            flush=True,
        )
        for fault in outcome.faults:
            print(f"    {fault}", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--outages", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each outage")
    parser.add_argument("--victim", choices=("mlflow", "postgres"), default="mlflow")
    options = parser.parse_args(argv)

    rounds = {
        "undisturbed": Outages(times=0, seconds=0.0, victim=options.victim),
        "disturbed": Outages(times=options.outages, seconds=options.seconds, victim=options.victim),
    }
    outcomes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, outages in rounds.items():
            outcomes[name] = run_round(
                Path(folder), name, options.searches, options.trials, outages
            )
            print_outcomes(name, outcomes[name])

    idle_s = {name: max(each.idle_s for each in outcomes[name]) for name in outcomes}
    delay_s = idle_s["disturbed"] - idle_s["undisturbed"]
    n_faults = sum(len(each.faults) for round_ in outcomes.values() for each in round_)
    n_trials = sum(each.trials for each in outcomes["disturbed"])
    print(f"{n_trials} trials, {n_faults} faults; training was delayed by {delay_s:.2f} s at most")
    return int(n_faults > 0 or delay_s >= LONGEST_DELAY_S)


if __name__ == "__main__":
    sys.exit(main())
