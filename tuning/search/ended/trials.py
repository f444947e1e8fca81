"""Whether a search has ended as its budget says, and the trials of one that has."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.ledger.records import counts
from tuning.ledger.search import SearchFiles
from tuning.ledger.trial_cache import Pair, ended_trials
from tuning.ledger.versions import differences
from tuning.search.ended.likely import ENDS
from tuning.study.info import StudyInfo


def trials_of_ended(files: SearchFiles, study: StudyInfo) -> list[Pair] | None:
    """Return the trials of a search that has nothing left to do, results without curves.

    None where a trial is open, missing or damaged, where anything was asked for under another
    study, budget or data, or where it ended for another reason: then the engine is asked again.

    Args:
        files: Of the search; its lock is held.
        study: What is searched now.
    """
    status = files.status
    header = files.require_header()
    if status is None or status.status not in ENDS or header.recovered:
        return None
    if header.trials != study.trials or differences(header.definition, study.definition):
        return None
    # Whether their rows are still the same is found out trial by trial.
    if study.data_arguments:
        return None

    trials = ended_trials(files, study.space)
    if trials is None or dict(status.counts) != counts(result.status for _, result in trials):
        return None
    own = trials[header.begins[-1] :]
    if any(proposal.study not in ("", study.pinned) for proposal, _ in own):
        return None
    if status.status == "completed" and not _is_used_up(study.trials, trials):
        return None
    return trials


def _is_used_up(budget: int | None, trials: Sequence[Pair]) -> bool:
    """Whether no more trials are to be asked for; those never trained have cost nothing."""
    n_trained = sum(not result.never_trained for _, result in trials)
    return budget is not None and n_trained >= budget
