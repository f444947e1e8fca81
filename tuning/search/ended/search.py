"""`EndedSearch`: a search that has nothing left to do under its budget, as its files have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuning.ledger.records import SearchHeader, SearchStatus, counts
from tuning.ledger.search import SearchFiles
from tuning.ledger.trial_cache import Pair, ended_trials
from tuning.ledger.versions import differences
from tuning.search.ended.likely import ENDS
from tuning.study.info import StudyInfo
from tuning.trial import TrialResult


@dataclass(frozen=True, kw_only=True)
class EndedSearch:
    """What the files say of a search that has ended.

    Attributes:
        status: How its last run ended, one of `ENDS`.
        trials: All that were asked for, by number; results without curves.
    """

    status: str
    trials: Sequence[Pair]

    @property
    def exhausted(self) -> bool:
        """Whether the engine had nothing left to propose."""
        return self.status == "exhausted"

    @property
    def results(self) -> list[TrialResult]:
        """How each trial ended, by number."""
        return [result for _, result in self.trials]


def ended_search(files: SearchFiles, study: StudyInfo) -> EndedSearch | None:
    """Return what the files say of a search that has nothing left to do.

    None where a trial is open, missing or damaged, where anything was asked for under another
    study, budget or data, or where it ended for another reason: then the engine is asked again.

    Args:
        files: Of the search; its lock is held.
        study: What is searched now.
    """
    status = files.status
    header = files.require_header()
    if status is None or status.status not in ENDS or not _is_of(header, study):
        return None

    trials = ended_trials(files, study.space)
    if trials is None or not _is_whole(trials, status, study.trials):
        return None
    # Those before the last change of the study were asked for under another one, rightly.
    own = trials[header.begins[-1] :]
    if any(proposal.study not in ("", study.pinned) for proposal, _ in own):
        return None
    return EndedSearch(status=status.status, trials=trials)


def _is_of(header: SearchHeader, study: StudyInfo) -> bool:
    """Whether a header is of this very study and budget, as far as it can say."""
    # A header that was lost was written anew, by a run that could not know what the trials are of.
    if header.recovered:
        return False
    # Whether their rows are still the same is found out trial by trial.
    if study.data_arguments:
        return False
    is_same_study = not differences(header.definition, study.definition)
    return is_same_study and header.trials == study.trials


def _is_whole(trials: Sequence[Pair], status: SearchStatus, budget: int | None) -> bool:
    """Whether these are all the trials that the last run has counted, and use the budget up."""
    if dict(status.counts) != counts(result.status for _, result in trials):
        return False
    if status.status != "completed":
        return True
    # Those never trained have cost nothing.
    n_trained = sum(not result.never_trained for _, result in trials)
    return budget is not None and n_trained >= budget
