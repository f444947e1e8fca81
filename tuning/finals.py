"""After the search: the best few on fresh seeds, the winner once on the test part. Whatever is kept is not redone."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tuning.attempts import as_error
from tuning.durable import read_json, write_json
from tuning.errors import SearchFailed, TuningError
from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised, Reported, Started
from tuning.ledger.search import SearchFiles
from tuning.loop import TICK_S
from tuning.record import StudyRecord
from tuning.reports.progress import Progress
from tuning.roster import Pair, Roster
from tuning.stopping import SAID, Stopping
from tuning.training.jobs import ALL_ROWS, EvaluationJob, FinalistJob, Source
from tuning.trial import Proposal, TrialResult

_TRAIN, _EVALUATE = "tuning.training.winner:train_finalist", "tuning.training.winner:evaluate_winner"


@dataclass(eq=False)
class Finals:
    """Trains finalists and evaluates the winner on the executor the search has used.

    Finalists are trained for all the study's epochs, whatever part of them the search gave a trial: a rung's score
    is only a hint at what its parameters are worth.

    Attributes:
        stopping: A signal ends it without a winner, the deadline does not; everything finished is kept.
    """

    record: StudyRecord
    source: Source
    overrides: Mapping[str, Any]
    executor: Executor
    files: SearchFiles
    progress: Progress
    stopping: Stopping = field(default_factory=Stopping)

    def run(self, roster: Roster) -> dict[str, Any] | None:
        """Return what `winner.json` says, or None where it was stopped before there was a winner.

        Raises:
            SearchFailed: No trial was completed, or none of the best was stable on fresh seeds.
        """
        chosen = [(_as_trained(*pair), pair[1]) for pair in roster.finalists(self.record.top_k)]
        if not chosen:
            if self.stopping.reason == "timeout" and not roster.results:
                raise SearchFailed(f"no trial was completed within {self.record.timeout:g} s; give --timeout more")
            raise SearchFailed(f"no trial of {len(roster.results)} was completed; see the errors above")
        outcomes = self._train(chosen)
        if outcomes is None:
            return None
        winner = self._pick(chosen, outcomes)
        known = read_json(self.files.folder / "winner.json")
        if known is not None and _same(known, winner) and (known["model"] is None or Path(known["model"]).exists()):
            whole = {**known, "finalists": winner["finalists"]}
            if whole != known:  # more of the best were looked at
                write_json(self.files.folder / "winner.json", whole)
            return whole
        return self._evaluate(winner)

    def tidy(self) -> None:
        """Drop the checkpoints that only an unfinished search needs."""
        for pattern in ("trials/*/end-*.npz", "trials/*/attempt-*/*.npz"):
            for path in self.files.folder.glob(pattern):
                path.unlink()

    def _train(self, chosen: list[Pair]) -> dict[tuple[int, int], dict[str, Any]] | None:
        jobs = dict(self._jobs(chosen))
        round_ = _Round(self, _TRAIN, jobs)
        if not round_.run():
            return None
        for name, error in round_.failed.items():
            self.progress.remark(f"{name}: {error}")
        outcomes: dict[tuple[int, int], dict[str, Any]] = {}
        for proposal, _ in chosen:
            for i in range(self.record.seeds):
                failed = {"value": None, "seed": None, "weights": None}
                outcomes[proposal.number, i] = self._outcome(proposal.number, i) or failed
        return outcomes

    def _jobs(self, chosen: list[Pair]) -> Iterator[tuple[str, FinalistJob]]:
        """Yield what is not done: a job for each finalist and seed, with `--cv` one for each fold.

        A finalist without rivals is going to be the winner: it is trained on all rows beside its folds.
        """
        alone = self.record.cv is not None and len(chosen) == self.record.seeds == 1
        for proposal, _ in chosen:
            for i in range(self.record.seeds):
                if self.files.finalist(proposal.number, i) is not None:
                    continue
                for fold in [ALL_ROWS, *self._folds] if alone else self._folds:  # the longest first
                    file = self.files.finalist_file(proposal.number, i, fold)
                    if fold is None or read_json(file) is None:
                        name = f"final-{proposal.number}-{i}" + ("" if fold is None else f"-{fold}")
                        yield name, FinalistJob(
                            self.source, self.overrides, proposal.number, proposal.params, self.record.epochs, i,
                            file, self.record.pinned, fold,
                        )  # fmt: skip

    @property
    def _folds(self) -> Sequence[int | None]:
        return [None] if self.record.cv is None else range(self.record.cv)

    def _outcome(self, number: int, index: int) -> dict[str, Any] | None:
        """Return what came of a finalist on a seed, with `--cv` of all its folds; None where it failed."""
        found = self.files.finalist(number, index)
        if found is not None or self.record.cv is None:
            return found
        parts = [read_json(self.files.finalist_file(number, index, fold)) for fold in self._folds]
        whole = [part for part in parts if part is not None]
        if len(whole) < len(parts):
            return None
        values = [part["value"] for part in whole]
        outcome = {
            **whole[0],
            "value": None if None in values else statistics.fmean(values),
            **{name: sum(part[name] for part in whole) for name in ("training_s", "seconds")},
            "started_at": min(part["started_at"] for part in whole),
            "ended_at": max(part["ended_at"] for part in whole),
        }
        write_json(self.files.finalist_file(number, index), outcome)
        return outcome

    def _pick(self, chosen: list[Pair], outcomes: Mapping[tuple[int, int], Mapping[str, Any]]) -> dict[str, Any]:
        """Choose the best mean over fresh seeds; parameters that diverged or failed on one of them are out."""
        standing: list[dict[str, Any]] = []
        for proposal, _ in chosen:
            mine = [outcomes[proposal.number, i] for i in range(self.record.seeds)]
            values = [outcome["value"] for outcome in mine]
            finite = all(value is not None and math.isfinite(value) for value in values)
            mean = statistics.fmean(values) if finite else None
            standing.append({
                "number": proposal.number, "params": dict(proposal.params), "epochs": self.record.epochs,
                "seeds": [outcome["seed"] for outcome in mine], "weights": [outcome["weights"] for outcome in mine],
                "validation": {"mean": mean, "std": _spread(values) if finite else None, "values": values},
            })  # fmt: skip
        stable = [entry for entry in standing if entry["validation"]["mean"] is not None]
        if not stable:
            raise SearchFailed(
                "each of the best trials diverged or failed on a fresh seed; lower the learning rates of the space"
            )
        winner = min(stable, key=lambda entry: self.record.objective.key(entry["validation"]["mean"]))
        return {**winner, "finalists": standing}

    def _evaluate(self, winner: dict[str, Any]) -> dict[str, Any] | None:
        values = winner["validation"]["values"]
        median = sorted(range(len(values)), key=lambda i: values[i])[(len(values) - 1) // 2]
        job = EvaluationJob(
            self.source, self.overrides, winner["params"], winner["epochs"], winner["seeds"][median],
            self._weights(winner["number"], median),
            self.files.folder / "winner.keras", self.files.folder / "evaluation.json", self.record.pinned,
        )  # fmt: skip
        job.file.unlink(missing_ok=True)  # of an earlier winner
        self.progress.phase("evaluating the winner on the test part")
        round_ = _Round(self, _EVALUATE, {"evaluate": job})
        if not round_.run():
            return None
        for error in round_.failed.values():
            raise TuningError(f"the winner could not be evaluated: {error}")
        whole = {**winner, **round_.ended["evaluate"], "seed": winner["seeds"][median], "at": time.time()}
        write_json(self.files.folder / "winner.json", whole)
        return whole

    def _weights(self, number: int, index: int) -> Path | None:
        """Return the weights that were trained on all the rows that the winner is, on that seed."""
        file = self.files.finalist_file(number, index, None if self.record.cv is None else ALL_ROWS)
        outcome = read_json(file)
        if outcome is None or outcome["weights"] is None or outcome["value"] is None:
            return None
        return file.with_name(outcome["weights"])


class _Round:
    """Some jobs to be run to their ends; a lost worker's job is begun again, as often as a trial would be.

    Attributes:
        ended: What the jobs returned, by name.
        failed: What went wrong with the others.
    """

    def __init__(self, finals: Finals, function: str, jobs: Mapping[str, FinalistJob | EvaluationJob]) -> None:
        self._finals, self._function, self._jobs = finals, function, jobs
        self.ended: dict[str, Any] = {}
        self.failed: dict[str, str] = {}
        self._waiting = set(jobs)
        self._lost: dict[str, int] = {}
        self._slots: dict[str, str] = {}

    def run(self) -> bool:
        """Return whether all jobs have ended; after Ctrl-C the running ones end, the others do not begin.

        Raises:
            TuningError: The study, the data or the disk is at fault.
        """
        stopping, executor = self._finals.stopping, self._finals.executor
        if stopping.by_signal:
            return False
        for name in self._jobs:
            self._submit(name)
        while left := self._jobs.keys() - self.ended.keys() - self.failed.keys():
            if stopping.by_signal:
                self._finals.progress.phase(SAID[stopping.reason])
                if stopping.hurried or left <= self._waiting:
                    return False
                for name in sorted(self._waiting & left):
                    executor.cancel(name)
            elif self._function == _TRAIN:
                done = len(self._jobs) - len(left)
                self._finals.progress.phase(f"training finalists on fresh seeds: {done + 1} of {len(self._jobs)}")
            for event in executor.events(TICK_S):
                if event.job in self._jobs:
                    self._handle(event)
        return True

    def _submit(self, name: str) -> None:
        record, job = self._finals.record, self._jobs[name]
        trains = isinstance(job, FinalistJob)  # the evaluation has no epochs to report
        self._waiting.add(name)
        self._finals.executor.submit(
            Job(
                name,
                self._function,
                (job,),
                timeout_s=record.trial_timeout if trains else None,
                no_progress_timeout_s=record.no_progress_timeout if trains else None,
            )
        )

    def _handle(self, event: Event) -> None:
        name, progress = event.job, self._finals.progress
        if isinstance(event, Reported):
            progress.epoch(self._slots.get(name, ""), event.report)
        elif isinstance(event, Started):
            self._started(event)
        else:
            if name in self._slots:
                progress.idle(self._slots.pop(name))
            if isinstance(event, Finished):
                self.ended[name] = event.value
            elif isinstance(event, Raised):
                self._raised(event)
            else:
                self._died(event)

    def _started(self, event: Started) -> None:
        job = self._jobs[event.job]
        self._waiting.discard(event.job)
        if isinstance(job, FinalistJob):
            self._slots[event.job] = event.slot
            self._finals.progress.running(event.slot, job.number, job.params, job.epochs)

    def _raised(self, event: Raised) -> None:
        fatal = as_error(event)
        if fatal is not None:
            raise fatal
        self.failed[event.job] = event.error

    def _died(self, event: Died) -> None:
        if event.cause == "cancelled":
            self._waiting.add(event.job)  # not begun, or not any more
            return
        self._lost[event.job] = self._lost.get(event.job, 0) + 1
        final = event.cause in ("timeout", "no_progress") or self._lost[event.job] >= self._finals.record.attempts
        if final:
            self.failed[event.job] = f"worker {event.cause}: {event.detail}"
        else:
            self._submit(event.job)


def _as_trained(proposal: Proposal, result: TrialResult) -> Proposal:
    """Return a proposal with the batch size that memory has left it."""
    if result.batch_size is None:
        return proposal
    return replace(proposal, params={**proposal.params, "batch_size": result.batch_size})


def _same(known: Mapping[str, Any], winner: Mapping[str, Any]) -> bool:
    return all(known.get(key) == winner[key] for key in ("number", "epochs", "seeds", "validation"))


def _spread(values: list[float]) -> float:
    """Sample standard deviation; 0 for one seed."""
    return statistics.stdev(values) if len(values) > 1 else 0.0
