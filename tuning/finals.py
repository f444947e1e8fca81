"""After the search: the best few on fresh seeds, the winner once on the test part. Whatever is kept is not redone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning.durable import read_json, write_json
from tuning.errors import SearchFailed, TuningError
from tuning.executors.base import Died, Executor, Finished, Job, Raised, Reported, Started
from tuning.ledger.search import SearchFiles
from tuning.loop import TICK_S
from tuning.record import StudyRecord
from tuning.reports.progress import Progress
from tuning.roster import Pair, Roster
from tuning.training.jobs import EvaluationJob, FinalistJob, Source


@dataclass(eq=False)
class Finals:
    """Trains finalists and evaluates the winner on the executor the search has used.

    Attributes:
        stopped: Set by a signal handler to give up; everything finished is kept.
    """

    record: StudyRecord
    source: Source
    overrides: Mapping[str, Any]
    executor: Executor
    files: SearchFiles
    progress: Progress
    stopped: Callable[[], str] = lambda: ""

    def run(self, roster: Roster) -> dict[str, Any] | None:
        """Return what `winner.json` says, or None where it was stopped before there was a winner.

        Raises:
            SearchFailed: No trial was completed, or none of the best was stable on fresh seeds.
        """
        chosen = roster.finalists(self.record.top_k)
        if not chosen:
            raise SearchFailed(f"no trial of {len(roster.results)} was completed; see the errors above")
        outcomes = self._train(chosen)
        if outcomes is None:
            return None
        winner = self._pick(chosen, outcomes)
        known = read_json(self.files.folder / "winner.json")
        if known is not None and all(known.get(key) == winner[key] for key in ("number", "seeds", "validation")):
            return dict(known)
        return self._evaluate(winner)

    def _train(self, chosen: list[Pair]) -> dict[tuple[int, int], dict[str, Any]] | None:
        wanted = [(proposal, i) for proposal, _ in chosen for i in range(self.record.seeds)]
        found = {(p.number, i): self.files.finalist(p.number, i) for p, i in wanted}
        jobs = {
            f"final-{p.number}-{i}": FinalistJob(
                self.source, self.overrides, p.number, p.params, p.epochs, i, self.files.finalist_file(p.number, i)
            )
            for p, i in wanted
            if found[p.number, i] is None
        }
        ended = self._work("tuning.training.winner:train_finalist", jobs)
        if ended is None:
            return None
        found |= {(outcome["number"], outcome["index"]): outcome for outcome in ended.values()}
        return {key: outcome for key, outcome in found.items() if outcome is not None}

    def _pick(self, chosen: list[Pair], outcomes: Mapping[tuple[int, int], Mapping[str, Any]]) -> dict[str, Any]:
        """Choose the best mean over fresh seeds; parameters that diverged on one of them are out."""
        standing = []
        for proposal, _ in chosen:
            mine = [outcomes[proposal.number, i] for i in range(self.record.seeds)]
            values = [outcome["value"] for outcome in mine]
            finite = all(value is not None and math.isfinite(value) for value in values)
            mean = statistics.fmean(values) if finite else None
            standing.append({
                "number": proposal.number, "params": dict(proposal.params), "epochs": proposal.epochs,
                "seeds": [outcome["seed"] for outcome in mine], "models": [outcome["model"] for outcome in mine],
                "validation": {"mean": mean, "std": _spread(values) if finite else None, "values": values},
            })  # fmt: skip
        stable = [entry for entry in standing if entry["validation"]["mean"] is not None]
        if not stable:
            raise SearchFailed(
                "each of the best trials diverged on a fresh seed; lower the learning rates of the space"
            )
        winner = min(stable, key=lambda entry: self.record.objective.key(entry["validation"]["mean"]))
        return {**winner, "finalists": standing}

    def _evaluate(self, winner: dict[str, Any]) -> dict[str, Any] | None:
        values = winner["validation"]["values"]
        median = sorted(range(len(values)), key=lambda i: values[i])[(len(values) - 1) // 2]
        model = self.files.finalist_file(winner["number"], median).with_name(winner["models"][median])
        saved = self.files.folder / "winner.keras"
        job = EvaluationJob(self.source, self.overrides, model, saved, self.files.folder / "evaluation.json")
        job.file.unlink(missing_ok=True)  # of an earlier winner
        self.progress.phase("evaluating the winner on the test part")
        ended = self._work("tuning.training.winner:evaluate_winner", {"evaluate-0-0": job})
        if ended is None:
            return None
        whole = {**winner, **ended["evaluate-0-0"], "seed": winner["seeds"][median]}
        write_json(self.files.folder / "winner.json", whole)
        self._tidy()
        return whole

    def _work(self, function: str, jobs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Run jobs to their ends; a lost worker's job is begun again, as often as a trial would be."""
        lost: dict[str, int] = {}
        ended: dict[str, Any] = {}
        for name, job in jobs.items():
            self.executor.submit(Job(name, function, (job,), timeout_s=self.record.trial_timeout))
        while len(ended) < len(jobs):
            if self.stopped():
                return None
            if function.endswith("finalist"):
                self.progress.phase(f"training finalists on fresh seeds: {len(ended) + 1} of {len(jobs)}")
            for event in self.executor.events(TICK_S):
                if event.job not in jobs:
                    continue
                if isinstance(event, Finished):
                    ended[event.job] = event.value
                elif isinstance(event, Raised):
                    raise TuningError(f"{event.job}: {event.error}\n{event.traceback}")
                elif isinstance(event, Died):
                    lost[event.job] = lost.get(event.job, 0) + 1
                    if lost[event.job] >= self.record.attempts:
                        raise TuningError(
                            f"{event.job}: its worker {event.cause} {lost[event.job]} times: {event.detail}"
                        )
                    self.executor.submit(Job(event.job, function, (jobs[event.job],)))
                else:
                    self._show(event, jobs[event.job])
        return ended

    def _show(self, event: Started | Reported, job: Any) -> None:
        if isinstance(event, Reported):
            self.progress.epoch(self._slots.get(event.job, ""), event.report)
        elif isinstance(job, FinalistJob):
            self._slots[event.job] = event.slot
            self.progress.running(event.slot, job.number, job.params, job.epochs)

    def __post_init__(self) -> None:
        self._slots: dict[str, str] = {}

    def _tidy(self) -> None:
        """Drop what only an unfinished search needs: checkpoints of rungs, models that did not win."""
        for pattern in ("trials/*/end-*.npz", "trials/*/attempt-*/*.npz"):
            for path in self.files.folder.glob(pattern):
                path.unlink()


def _spread(values: list[float]) -> float:
    """Sample standard deviation; 0 for one seed."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def kept_models(folder: Path) -> list[Path]:
    """Return the finalists' models of a search, for whoever wants to compare them."""
    return sorted(folder.glob("finalists/*/*.keras"))
