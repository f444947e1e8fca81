"""After the search: the best few on fresh seeds, the winner once on the test part. Whatever is kept
is not redone.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tuning.errors import SearchFailed, TuningError
from tuning.executors.base import Executor
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import Progress
from tuning.search.rounds import Round
from tuning.search.stopping import StopRequest
from tuning.search.trial_index import Pair, TrialIndex
from tuning.storage.durable import read_json, write_json
from tuning.study.info import StudyInfo
from tuning.trial import Proposal, TrialResult
from tuning.trials.jobs import ALL_ROWS, EvaluationJob, FinalistJob, Source

_ROUNDS = 3
"""How often the next `top_k` of the ranking are looked at where all before them were unstable."""

_TRAIN, _EVALUATE = "tuning.trials.winner:train_finalist", "tuning.trials.winner:evaluate_winner"


@dataclass(eq=False)
class Finals:
    """Trains finalists and evaluates the winner on the executor the search has used.

    Finalists are trained for all the study's epochs, whatever part of them the search gave a trial:
    a rung's score is only a hint at what its parameters are worth.

    Attributes:
        stopping: A signal ends it without a winner, the deadline does not; everything finished is
            kept.
    """

    record: StudyInfo
    source: Source
    overrides: Mapping[str, Any]
    executor: Executor
    files: SearchFiles
    progress: Progress
    stopping: StopRequest = field(default_factory=StopRequest)

    def run(self, trial_index: TrialIndex) -> dict[str, Any] | None:
        """Return what `winner.json` says, or None where it was stopped before there was a winner.

        Raises:
            SearchFailed: No trial was completed, or none of the best was stable on fresh seeds.
        """
        ranked = [
            (_as_trained(*pair), pair[1])
            for pair in trial_index.finalists(_ROUNDS * self.record.top_k)
        ]
        if not ranked:
            if self.stopping.reason == "timeout" and not trial_index.results:
                raise SearchFailed(
                    f"no trial was completed within {self.record.timeout:g} s; give --timeout more"
                )
            raise SearchFailed(
                f"no trial of {len(trial_index.results)} was completed; see the errors above"
            )
        winner = self._winner_of(ranked)
        if winner is None:
            return None
        known = kept_winner(self.files)
        if known is not None and _same(known, winner):
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

    def _winner_of(self, ranked: list[Pair]) -> dict[str, Any] | None:
        """Return the winner among the best few, or among the next few where none of these is
        stable.
        """
        few, standing = self.record.top_k, list[dict[str, Any]]()
        for first in range(0, len(ranked), few):
            if first:
                self.progress.notice(
                    f"the best {first} diverged or failed on a fresh seed: the next are looked at"
                )
            chosen = ranked[first : first + few]
            outcomes = self._train(chosen)
            if outcomes is None:
                return None
            standing += self._standing(chosen, outcomes)
            stable = [entry for entry in standing if entry["validation"]["mean"] is not None]
            if stable:
                winner = min(
                    stable, key=lambda entry: self.record.objective.key(entry["validation"]["mean"])
                )
                return {**winner, "finalists": standing}
        raise SearchFailed(
            f"each of the best {len(ranked)} trials diverged or failed on a fresh seed; lower the learning rates of "
            "the space"
        )

    def _train(self, chosen: list[Pair]) -> dict[tuple[int, int], dict[str, Any]] | None:
        jobs = dict(self._jobs(chosen))
        round_ = self._round(_TRAIN, jobs)
        if not round_.run():
            return None
        for name, error in round_.failed.items():
            self.progress.notice(f"{name}: {error}")
        outcomes: dict[tuple[int, int], dict[str, Any]] = {}
        for proposal, _ in chosen:
            for i in range(self.record.seeds):
                failed = {"value": None, "seed": None, "weights": None}
                outcomes[proposal.number, i] = self._outcome(proposal.number, i) or failed
        return outcomes

    def _round(self, function: str, jobs: Mapping[str, FinalistJob | EvaluationJob]) -> Round:
        return Round(self.record, self.executor, self.progress, self.stopping, function, jobs)

    def _jobs(self, chosen: list[Pair]) -> Iterator[tuple[str, FinalistJob]]:
        """Yield what is not done: a job for each finalist and seed, with `--cv` one for each fold.

        A finalist without rivals is going to be the winner: it is trained on all rows beside its
            folds.
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
                        yield (
                            name,
                            FinalistJob(
                                self.source,
                                self.overrides,
                                proposal.number,
                                proposal.params,
                                self.record.epochs,
                                i,
                                file,
                                self.record.pinned,
                                fold,
                            ),
                        )

    @property
    def _folds(self) -> Sequence[int | None]:
        return [None] if self.record.cv is None else range(self.record.cv)

    def _outcome(self, number: int, index: int) -> dict[str, Any] | None:
        """Return what came of a finalist on a seed, with `--cv` of all its folds; None where it
        failed.
        """
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

    def _standing(
        self, chosen: list[Pair], outcomes: Mapping[tuple[int, int], Mapping[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """Yield the mean of each over its fresh seeds; None where it diverged or failed on one of
        them: it is out.
        """
        for proposal, _ in chosen:
            mine = [outcomes[proposal.number, i] for i in range(self.record.seeds)]
            values = [outcome["value"] for outcome in mine]
            finite = all(value is not None and math.isfinite(value) for value in values)
            mean = statistics.fmean(values) if finite else None
            yield {
                "number": proposal.number,
                "params": dict(proposal.params),
                "epochs": self.record.epochs,
                "seeds": [outcome["seed"] for outcome in mine],
                "weights": [outcome["weights"] for outcome in mine],
                "validation": {
                    "mean": mean,
                    "std": _spread(values) if finite else None,
                    "values": values,
                },
            }

    def _evaluate(self, winner: dict[str, Any]) -> dict[str, Any] | None:
        values = winner["validation"]["values"]
        median = sorted(range(len(values)), key=lambda i: values[i])[(len(values) - 1) // 2]
        job = EvaluationJob(
            self.source,
            self.overrides,
            winner["params"],
            winner["epochs"],
            winner["seeds"][median],
            self._weights(winner["number"], median),
            self.files.folder / "winner.keras",
            self.files.folder / "evaluation.json",
            self.record.pinned,
        )
        for earlier in (
            self.files.folder / "winner.json",
            job.file,
        ):  # their model is about to be replaced
            earlier.unlink(missing_ok=True)
        self.progress.phase("evaluating the winner on the test part")
        round_ = self._round(_EVALUATE, {"evaluate": job})
        if not round_.run():
            return None
        for error in round_.failed.values():
            raise TuningError(f"the winner could not be evaluated: {error}")
        whole = {
            **winner,
            **round_.ended["evaluate"],
            "seed": winner["seeds"][median],
            "at": time.time(),
        }
        write_json(self.files.folder / "winner.json", whole)
        return whole

    def _weights(self, number: int, index: int) -> Path | None:
        """Return the weights that were trained on all the rows that the winner is, on that seed."""
        file = self.files.finalist_file(number, index, None if self.record.cv is None else ALL_ROWS)
        outcome = read_json(file)
        if outcome is None or outcome["weights"] is None or outcome["value"] is None:
            return None
        return file.with_name(outcome["weights"])


def kept_winner(files: SearchFiles) -> dict[str, Any] | None:
    """Return the winner that an earlier run of a search has left; None where it, or its model, is
    not whole.
    """
    kept: dict[str, Any] | None = read_json(files.folder / "winner.json")
    if (
        kept is None or not (files.folder / "evaluation.json").exists()
    ):  # another winner's model may lie there
        return None
    return kept if kept["model"] is None or Path(kept["model"]).exists() else None


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
