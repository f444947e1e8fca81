"""`SearchView`: everything the files say of one search, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tuning.errors import StudyError
from tuning.ledger.catalog import find, name_of
from tuning.ledger.records import SearchHeader, SearchStatus, counts
from tuning.ledger.search import SearchFiles
from tuning.ledger.view.standings import FinalistView, finalists_of
from tuning.ledger.view.trial_reader import TrialReader, TrialView, with_curves
from tuning.ledger.winner import WinnerRecord
from tuning.space.space import Space
from tuning.storage.locks import is_search_locked
from tuning.study.objective import Objective
from tuning.trial import Params, Proposal, Status, TrialResult

NEVER_SAID = "interrupted"
"""The status of a search that reads "running" while no process runs it: it was killed."""


@dataclass(frozen=True, kw_only=True)
class SearchView:
    """One search, running or ended.

    Attributes:
        files: Its files.
        header: `search.json`: study, engine, definition, data, versions.
        space: As it was searched last.
        last: `status.json`; None where no run has got so far.
        running: Whether a process runs it right now.
        trials: Every trial that was asked for, by number; results without curves.
        finalists: The best on fresh seeds, as far as they were trained.
        winner: The honest winner with its evaluation; None: none was chosen, or not yet.
    """

    files: SearchFiles
    header: SearchHeader
    space: Space
    last: SearchStatus | None
    running: bool
    trials: tuple[TrialView, ...]
    finalists: tuple[FinalistView, ...]
    winner: WinnerRecord | None

    @property
    def name(self) -> str:
        """How users call it: `study/key`."""
        return name_of(self.files)

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.files.folder

    @property
    def objective(self) -> Objective:
        """What its trials were judged by."""
        return self.header.objective

    @property
    def definition(self) -> Mapping[str, Any]:
        """The study as it was searched last."""
        return self.header.definition

    @property
    def status(self) -> str:
        """How its last run ended, in a word, or `running`; `begun` where it has not said."""
        if self.running:
            return "running"
        if self.last is None:
            return "begun"
        return NEVER_SAID if self.last.status == "running" else self.last.status

    @cached_property
    def ended(self) -> tuple[tuple[Proposal, TrialResult], ...]:
        """The trials that have ended, as reports take them."""
        return tuple(
            (trial.proposal, trial.result) for trial in self.trials if trial.result is not None
        )

    @property
    def open(self) -> tuple[TrialView, ...]:
        """Those that have not ended: they run, wait for a slot, or were interrupted."""
        return tuple(trial for trial in self.trials if trial.result is None)

    @property
    def counts(self) -> dict[str, int]:
        """Trials by outcome: completed, pruned, failed (diverged included), infeasible."""
        return counts(result.status for _, result in self.ended)

    @property
    def budget(self) -> int | None:
        """Trials in all, as the last command said; None: no number was."""
        return self.header.trials

    @property
    def winner_params(self) -> Params:
        """The winner's parameters in their own types; empty where there is none."""
        if self.winner is None:
            return {}
        return self.space.decode_known(self.winner.params)

    @property
    def model_file(self) -> Path | None:
        """The winner's model, wherever the state folder lies now; None where there is none."""
        if self.winner is None or self.winner.evaluation.model is None:
            return None
        path = self.folder / Path(self.winner.evaluation.model).name
        return path if path.is_file() else None

    @property
    def report_file(self) -> Path | None:
        """The search's report; None where there is none."""
        # <home>/ledger/<study>/<key>
        path = self.folder.parents[2] / "reports" / f"{self.header.id}.html"
        return path if path.is_file() else None

    @property
    def training_s(self) -> float:
        """Seconds of training, over all trials and slots."""
        return sum(result.training_s for _, result in self.ended)

    def ranked(self) -> list[tuple[Proposal, TrialResult]]:
        """Return the completed trials, the best first, the earliest of equals first."""
        completed = [
            pair
            for pair in self.ended
            if pair[1].status is Status.COMPLETED and pair[1].value is not None
        ]
        return sorted(completed, key=lambda pair: self.objective.key(pair[1].value or 0.0))

    def completed(self) -> list[TrialResult]:
        """Return the results of the completed trials, by number."""
        return [result for _, result in self.ended if result.status is Status.COMPLETED]

    def trial(self, number: int) -> TrialView:
        """Return one trial with its curves, folds and samples.

        Raises:
            StudyError: It was never asked for; says which were.
        """
        for trial in self.trials:
            if trial.number == number:
                return with_curves(self.files, trial)
        raise StudyError(f"{self.name} has no trial {number}; it has {_numbers_text(self.trials)}")


class SearchReader:
    """Reads one search, and reads it again for less: for whoever shows it while it runs.

    Args:
        files: Of the search.
    """

    def __init__(self, files: SearchFiles) -> None:
        self._files = files
        self._trials: TrialReader | None = None
        self._header: SearchHeader | None = None
        self._space = Space({})

    def read(self) -> SearchView:
        """Return what the files say now.

        Raises:
            StudyError: The header is missing, or its space cannot be read.
            DamagedFileError: The header is damaged.
            NewerFileError: A later release has searched here.
        """
        # Before the files: of a search that ends meanwhile the end is not missed for long.
        running = is_search_locked(self._files.folder)
        header = self._files.require_header()
        if self._trials is None or header != self._header:
            self._header = header
            self._space = header.space
            self._trials = TrialReader(self._files, self._space)

        trials = self._trials.read()
        winner = self._files.winner
        return SearchView(
            files=self._files,
            header=header,
            space=self._space,
            last=self._files.status,
            running=running,
            trials=trials,
            finalists=finalists_of(
                self._files,
                winner,
                {trial.number: trial.proposal.params for trial in trials},
            ),
            winner=winner,
        )


def read_search(home: Path, name: str) -> SearchView:
    """Return the search that a user means, as its files are now.

    Args:
        home: The state folder.
        name: `study/key`, an id, a folder, or a study that has one search; see `catalog.find`.

    Raises:
        StudyError: There is no such search, or the study has several; says which there are.
    """
    return SearchReader(find(home, name)).read()


def _numbers_text(trials: tuple[TrialView, ...]) -> str:
    if not trials:
        return "none yet"
    if len(trials) == 1:
        return f"trial {trials[0].number} alone"
    return f"trials {trials[0].number} to {trials[-1].number}"
