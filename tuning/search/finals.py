"""After the search: the best few on fresh seeds, then the winner once on the test set.

Everything that ends is kept in the ledger's files at once, and what is kept is not done again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from tuning.errors import SearchFailed, TuningError
from tuning.executors.base import Executor
from tuning.ledger.digests import evaluation_digest, finalist_digest
from tuning.ledger.model_file import changed
from tuning.ledger.search import SearchFiles
from tuning.ledger.winner import Evaluation, FinalistOutcome, Standing, WinnerRecord
from tuning.reports.progress import Progress
from tuning.search.choice import best_standing, is_eligible
from tuning.search.rounds import Round
from tuning.search.stop_request import StopRequest
from tuning.search.trial_index import TrialIndex
from tuning.storage.aside import forget
from tuning.study.info import StudyInfo
from tuning.trial import Metrics, Params, Proposal, TrialResult
from tuning.trials.jobs import (
    ALL_ROWS,
    EvaluationJob,
    FinalistJob,
    Overrides,
    Source,
    weights_owner,
)

_ROUNDS = 3
"""How often the next `top_k` of the ranking are looked at where all before them were unstable."""

_TRAIN = "tuning.trials.finalist:train_finalist"
_EVALUATE = "tuning.trials.winner:evaluate_winner"

Fold: TypeAlias = int | str | None
"""A part of the rows, as `FinalistJob.fold` has it."""


@dataclass(eq=False, kw_only=True)
class Finals:
    """Trains finalists and evaluates the winner on the executor the search has used.

    Finalists are trained for all the study's epochs, whatever part of them the search gave a trial:
    a rung's score is only a hint at what its parameters are worth.

    Attributes:
        stop_request: A signal ends it without a winner, the deadline does not; everything finished
            is kept.
        on_tick: Called several times a second while jobs run; what it raises ends the run.
    """

    study: StudyInfo
    source: Source
    overrides: Overrides
    executor: Executor
    files: SearchFiles
    progress: Progress
    stop_request: StopRequest = field(default_factory=StopRequest)
    on_tick: Callable[[], None] = lambda: None

    def run(self, trial_index: TrialIndex) -> WinnerRecord | None:
        """Return the winner, or None where it was stopped before there was one.

        Raises:
            SearchFailed: No trial was completed, or none of the best was stable on fresh seeds.
        """
        best_trials = trial_index.finalists(_ROUNDS * self.study.top_k)
        if not best_trials:
            raise self._no_trial_completed(trial_index)

        finalists = [_as_trained(proposal, result) for proposal, result in best_trials]
        standings = self._standings(finalists)
        if standings is None:
            return None
        best = best_standing(standings, self.study, trial_index.front_scale)

        known = kept_winner(self.files, self.progress.notice)
        if known is None or not self._is_of(known, best):
            return self._evaluate(best, standings)

        # More of the best may have been looked at since.
        winner = replace(known, finalists=tuple(standings))
        if winner != known:
            self.files.write_winner(winner)
        return winner

    def _is_of(self, winner: WinnerRecord, best: Standing) -> bool:
        """Whether a winner was chosen by these very trainings, and evaluated with them."""
        # A winner read from its file has its parameters in JSON's types.
        if replace(winner.standing, params=best.params, weights=best.weights) != best:
            return False
        # Earlier versions wrote no digest.
        digest = winner.evaluation.digest
        return digest in ("", self._evaluation_digest(best, winner.seed))

    def tidy(self) -> None:
        """Drop the checkpoints that only an unfinished search needs."""
        of_trials = ("trials/*/end-*.npz", "trials/*/attempt-*/*.npz")
        of_finalists = ("finalists/*/*.kept-*", "finalists/*/*/*.kept-*")
        for pattern in (*of_trials, *of_finalists):
            for path in self.files.folder.glob(pattern):
                path.unlink()

    def _no_trial_completed(self, trial_index: TrialIndex) -> SearchFailed:
        if self.stop_request.reason == "timeout" and not trial_index.results:
            return SearchFailed(
                f"no trial was completed within {self.study.timeout:g} s; give --timeout more"
            )
        return SearchFailed(
            f"no trial of {len(trial_index.results)} was completed; see the errors above"
        )

    def _standings(self, finalists: Sequence[Proposal]) -> list[Standing] | None:
        """Train the best few, and the next few while none of them is stable.

        Returns:
            How each that was trained did, at least one of them stable; None where it was stopped.

        Raises:
            SearchFailed: None is stable.
        """
        standings: list[Standing] = []
        for first in range(0, len(finalists), self.study.top_k):
            if first:
                self.progress.notice(
                    f"the best {first} {self._faults} on a fresh seed: the next are looked at"
                )

            few = finalists[first : first + self.study.top_k]
            if not self._train(few):
                return None

            standings += [self._standing(proposal) for proposal in few]
            if any(is_eligible(standing, self.study) for standing in standings):
                return standings

        raise SearchFailed(
            f"each of the best {len(finalists)} trials {self._faults} on a fresh seed; lower "
            "the learning rates of the space"
        )

    @property
    def _faults(self) -> str:
        if self.study.constraints:
            return "diverged, failed or broke a constraint"
        return "diverged or failed"

    def _train(self, finalists: Sequence[Proposal]) -> bool:
        """Train what is not done of some finalists; return whether it came to its end."""
        round_ = self._round(_TRAIN, self._jobs(finalists))
        if not round_.run():
            return False
        for name, error in round_.failed.items():
            self.progress.notice(f"{name}: {error}")
        return True

    def _round(self, function: str, jobs: Mapping[str, FinalistJob | EvaluationJob]) -> Round:
        return Round(
            study=self.study,
            executor=self.executor,
            progress=self.progress,
            stop_request=self.stop_request,
            function=function,
            jobs=jobs,
            on_tick=self.on_tick,
        )

    def _jobs(self, finalists: Sequence[Proposal]) -> dict[str, FinalistJob]:
        """Return what is not done, by name: for each finalist and seed each part of the rows."""
        parts = self._parts(alone=len(finalists) == 1)
        jobs = {}
        for proposal in finalists:
            for index in range(self.study.seeds):
                if self._kept(proposal, index) is not None:
                    continue

                for fold in parts:
                    name = f"final-{proposal.number}-{index}"
                    if fold is not None:
                        if self._kept(proposal, index, fold) is not None:
                            continue
                        name += f"-{fold}"
                    jobs[name] = self._job(proposal, index, fold)
        return jobs

    def _parts(self, *, alone: bool) -> Sequence[Fold]:
        """Return what a finalist is trained on, with `--cv` each fold on its own.

        A finalist without rivals is going to be the winner: it is trained on all rows beside its
        folds. That job is the longest, so it comes first.
        """
        # By time it is trained for as many epochs as its validation finds, so not beside it.
        may_train_now = self.study.cv is not None and not self.study.trains_to_test
        if alone and may_train_now and self.study.seeds == 1:
            return [ALL_ROWS, *self._folds]
        return self._folds

    @property
    def _folds(self) -> Sequence[int | None]:
        return [None] if self.study.cv is None else range(self.study.cv)

    def _job(self, proposal: Proposal, index: int, fold: Fold) -> FinalistJob:
        return FinalistJob(
            source=self.source,
            overrides=self.overrides,
            number=proposal.number,
            params=proposal.params,
            epochs=self.study.epochs_of(proposal.params),
            index=index,
            file=self.files.finalist_file(proposal.number, index, fold),
            pinned=self.study.pinned,
            fold=fold,
            data_digest=self._data_digest(proposal.number),
            digest=self._digest(proposal.params, self.study.epochs_of(proposal.params)),
        )

    def _digest(self, params: Params, epochs: int) -> str:
        return finalist_digest(params, epochs, self.study.pinned)

    def _kept(self, proposal: Proposal, index: int, fold: Fold = None) -> FinalistOutcome | None:
        """Return the outcome of these very parameters that lies in the files."""
        digest = self._digest(proposal.params, self.study.epochs_of(proposal.params))
        return self.files.finalist(proposal.number, index, fold, digest=digest)

    def _data_digest(self, number: int) -> str:
        """Return what the data of a trial were, where their arguments are searched; else ""."""
        if not self.study.data_arguments:
            return ""
        result = self.files.result(number)
        return "" if result is None else result.data_digest

    def _standing(self, proposal: Proposal) -> Standing:
        """Return how a finalist did; without a value where it failed on a seed."""
        outcomes = [self._outcome(proposal, index) for index in range(self.study.seeds)]
        return Standing(
            number=proposal.number,
            params=dict(proposal.params),
            epochs=self.study.epochs_of(proposal.params),
            seeds=tuple(None if outcome is None else outcome.seed for outcome in outcomes),
            weights=tuple(None if outcome is None else outcome.weights for outcome in outcomes),
            values=tuple(None if outcome is None else outcome.value for outcome in outcomes),
            figures=tuple(each.figures for each in outcomes if each is not None and each.figures),
        )

    def _outcome(self, proposal: Proposal, index: int) -> FinalistOutcome | None:
        """Return what came of a finalist on a seed, of all its folds; None where it failed."""
        known = self._kept(proposal, index)
        if known is not None or self.study.cv is None:
            return known

        folds = []
        for fold in self._folds:
            outcome = self._kept(proposal, index, fold)
            if outcome is None:
                return None
            folds.append(outcome)

        # Kept beside them: the next run, and whoever shows the search, read one file.
        mean = _mean_outcome(folds)
        self.files.write_finalist(mean)
        return mean

    def _evaluate(self, best: Standing, standings: Sequence[Standing]) -> WinnerRecord | None:
        median = _median_index(best)
        seed = best.seeds[median]
        if seed is None:
            raise TuningError(f"trial {best.number} has no seed although it has a value")

        job = EvaluationJob(
            source=self.source,
            overrides=self.overrides,
            params=best.params,
            epochs=self._winner_epochs(best, median),
            seed=seed,
            weights=self._weights(best.number, median),
            saved=self.files.folder / "winner.keras",
            file=self.files.evaluation_file,
            pinned=self.study.pinned,
            data_digest=self._data_digest(best.number),
            number=best.number,
            weights_of=weights_owner(self._digest(best.params, best.epochs), median),
            digest=self._evaluation_digest(best, seed),
        )

        earlier = self.files.winner
        # The model of an earlier winner is about to be replaced: its figures go before it.
        forget(self.files.winner_file)
        forget(self.files.evaluation_file)
        self.progress.phase("evaluating the winner on the test set")
        round_ = self._round(_EVALUATE, {"evaluate": job})
        if not round_.run():
            return None
        evaluation = self._evaluation_of(round_, job.digest)
        if earlier is not None:
            evaluation = evaluation.after(earlier.evaluation)
        return self._keep_winner(best, standings, seed, evaluation)

    def _evaluation_digest(self, best: Standing, seed: int) -> str:
        return evaluation_digest(self._digest(best.params, best.epochs), seed)

    def _evaluation_of(self, round_: Round, digest: str) -> Evaluation:
        """Return the evaluation; one without scores where it failed or its workers were lost.

        Nobody shall lose a winner for that. Without the file of an evaluation the same command
        tries again.
        """
        for name, error in round_.failed.items():
            how = "was lost" if name in round_.lost else "failed"
            self.progress.notice(
                f"the winner has no test score, its evaluation {how} ({error}); the same "
                "command tries it again"
            )
            return Evaluation(test={}, not_scored=f"its evaluation {how}: {error}", digest=digest)
        return self._evaluation(digest)

    def _keep_winner(
        self, best: Standing, standings: Sequence[Standing], seed: int, evaluation: Evaluation
    ) -> WinnerRecord:
        winner = WinnerRecord(
            standing=best,
            finalists=tuple(standings),
            evaluation=evaluation,
            seed=seed,
            at=time.time(),
        )
        self.files.write_winner(winner)
        return winner

    def _winner_epochs(self, best: Standing, index: int) -> int:
        """Return the epochs that the winner is trained for.

        By time it is trained on the rows too that its validation had: for as many epochs as were
        best there, the median over folds.
        """
        if not self.study.trains_to_test:
            return best.epochs
        outcomes = [self.files.finalist(best.number, index, fold) for fold in self._folds]
        epochs = [outcome.epochs for outcome in outcomes if outcome is not None]
        return max(1, round(statistics.median(epochs))) if epochs else best.epochs

    def _evaluation(self, digest: str) -> Evaluation:
        evaluation = self.files.evaluation
        if evaluation is None:
            raise TuningError(f"{self.files.evaluation_file} is missing or damaged; run again")
        if evaluation.digest not in ("", digest):
            raise TuningError(f"{self.files.evaluation_file} is of another winner; run again")
        return evaluation

    def _weights(self, number: int, index: int) -> Path | None:
        """Return the weights that were trained on all the rows that the winner is, on that seed."""
        if self.study.trains_to_test:
            return None
        rows = None if self.study.cv is None else ALL_ROWS
        outcome = self.files.finalist(number, index, rows)
        if outcome is None or outcome.weights is None or outcome.value is None:
            return None
        return self.files.finalist_file(number, index, rows).with_name(outcome.weights)


def kept_winner(files: SearchFiles, notice: Callable[[str], None]) -> WinnerRecord | None:
    """Return the winner of an earlier run; None where it, or its model, is not whole.

    A model's file that is not the one that was evaluated is set aside, and `notice` is told.
    """
    winner = files.winner
    # Without an evaluation another winner's model may lie there.
    if winner is None or not files.evaluation_file.exists():
        return None
    if winner.evaluation.model is None:
        return winner

    model = Path(winner.evaluation.model)
    fault = changed(winner.evaluation, model)
    if fault and model.exists():
        aside = model.with_name(f"{model.name}.damaged")
        model.replace(aside)
        notice(f"{fault}. It is put aside as {aside.name}, and the winner is evaluated again")
    return None if fault else winner


def _as_trained(proposal: Proposal, result: TrialResult) -> Proposal:
    """Return a proposal with the batch size that memory has left it."""
    if result.batch_size is None:
        return proposal
    return replace(proposal, params={**proposal.params, "batch_size": result.batch_size})


def _mean_outcome(folds: Sequence[FinalistOutcome]) -> FinalistOutcome:
    """Return one outcome for all folds; without a value where one of them diverged."""
    values = [fold.value for fold in folds]
    finite = [value for value in values if value is not None]

    return replace(
        folds[0],
        value=statistics.fmean(finite) if len(finite) == len(values) else None,
        training_s=sum(fold.training_s for fold in folds),
        seconds=sum(fold.seconds for fold in folds),
        cpu_s=sum(fold.cpu_s for fold in folds),
        gpu_s=sum(fold.gpu_s for fold in folds),
        started_at=min(fold.started_at for fold in folds),
        ended_at=max(fold.ended_at for fold in folds),
        figures=_mean_figures([fold.figures for fold in folds]),
    )


def _mean_figures(rows: Sequence[Metrics]) -> dict[str, float]:
    """Return the mean of each figure that all folds have."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: statistics.fmean(row[name] for row in rows) for name in names}


def _median_index(standing: Standing) -> int:
    """Return which seed gave the median value, the lower of two in the middle."""
    values = [value for value in standing.values if value is not None]
    order = sorted(range(len(values)), key=lambda i: values[i])
    return order[(len(order) - 1) // 2]
