"""`summarize`: the `Summary` of a run, gathered from its study, trials, winner and stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuning.ledger.usage import Usage
from tuning.ledger.winner import WinnerRecord
from tuning.reports.summary import Summary, Trials, pareto_front, with_winner
from tuning.search.outcome.elapsed import Elapsed
from tuning.study.info import StudyInfo
from tuning.tracking.writer.handle import Report

_NOTHING = Usage()
_NOT_KNOWN = Elapsed()


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """What a run has taken.

    Attributes:
        total_s: All of it.
        startup_s: Until its first trial began; 0 where none did: nothing has been waited for.
        training_s: All trials' training, those of earlier runs included.
        elapsed: All runs of the search, this one included where it has not only read the files.
        used: What the search has used, earlier runs included.
    """

    total_s: float
    startup_s: float
    training_s: float
    elapsed: Elapsed = _NOT_KNOWN
    used: Usage = _NOTHING


def summarize(
    study: StudyInfo,
    trials: Trials,
    winner: WinnerRecord | None,
    *,
    search: str,
    status: str,
    seconds: Seconds,
    report: Path | None,
    warnings: Sequence[str],
) -> Summary:
    """Return what the end of a run shows, but for where MLflow has it.

    Args:
        study: What was searched.
        trials: All that have ended, by number.
        winner: None: none was chosen.
        search: The search's id.
        status: How the run ended.
        seconds: What it took.
        report: The path of the report; None: there is none.
        warnings: What could not be written.
    """
    front = pareto_front(trials, study.objectives)
    summary = Summary(
        study=study.name,
        engine=study.engine,
        search=search,
        status=status,
        objective=study.objective,
        objectives=study.objectives,
        pareto={} if front is None else front.to_json(),
        # 10,000 trials with their curves are 100 MB.
        trials=[(proposal, result.without_curves()) for proposal, result in trials],
        unit=study.data.unit,
        total_s=seconds.total_s,
        startup_s=seconds.startup_s,
        training_s=seconds.training_s,
        search_s=seconds.elapsed.seconds,
        runs=seconds.elapsed.runs,
        budget=study.trials,
        cpu_s=seconds.used.cpu_s,
        gpu_s=seconds.used.gpu_s,
        report=None if report is None else str(report),
        warnings=tuple(warnings),
        space=study.space,
    )
    if winner is None:
        return summary
    return with_winner(summary, winner, study.space.decode_known(winner.params))


def with_place(summary: Summary, written: Report, tracking_uri: str) -> Summary:
    """Return a summary that says where MLflow has the search.

    Args:
        summary: Of the run.
        written: What the writer says.
        tracking_uri: Of MLflow's store; shown where the search is there.
    """
    return replace(
        summary,
        tracking_uri=tracking_uri if written.run_id else "",
        experiment_id=written.experiment_id,
        run_id=written.run_id,
    )
