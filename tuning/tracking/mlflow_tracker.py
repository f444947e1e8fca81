"""MLflow: a run for each search, below it a run for each finished trial.

Explicit run ids only, never autolog, never the asynchronous queue. A run carries the tag
`attempt_id`; it is looked up before a run is created, and a run counts as recorded once its status
is final, which is written last. So after a crash, or an answer that got lost on its way, the same
call finds what is there and adds what is missing.

A database of MLflow's is given whole runs, hundreds in one transaction. A server is asked for each
run, several at once, and asked again where it fails (`mlflow_patience`).

Of a trial one run counts, that of the attempt whose result the ledger has. Where a damaged result
was trained again, the run of the attempt before is marked as superseded, and deleted.

What is written stands in `mlflow_tags`, `mlflow_metrics` and `mlflow_view`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tuning.errors import TrialError
from tuning.ledger.placement import PlanRecord
from tuning.ledger.usage import Usage
from tuning.ledger.winner import WinnerRecord
from tuning.schema import Json
from tuning.study.info import DatasetFacts
from tuning.tracking import mlflow_metrics, mlflow_runs, mlflow_sql_internals, mlflow_tags
from tuning.tracking.base import Progress, SearchRecord
from tuning.tracking.mlflow_internals import LOGGED_ARTIFACTS, table_tag
from tuning.tracking.mlflow_metrics import FoldTable, Point
from tuning.tracking.mlflow_model import facts_of, show_model
from tuning.tracking.mlflow_sql_internals import StoredRun, WholeRun
from tuning.tracking.mlflow_store import experiment_of
from tuning.tracking.mlflow_text import milliseconds, texts
from tuning.tracking.mlflow_view import search_views
from tuning.tracking.servers.artifacts import PROXIED, NeedsServerError, lasting_fault
from tuning.trial import Proposal, TrialResult

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

_UNFINISHED = "RUNNING"
_GAP = "\n\n"  # between what a search's note says of its trials and of its winner
_BATCH = 250  # trials of one transaction
_REMOTE_BATCH = 16  # trials between two looks at the clock
_REQUESTS = 4  # at once, to a server


@dataclass(frozen=True)
class KnownRun:
    """A run that MLflow has: its id and status."""

    id: str
    status: str


@dataclass(frozen=True, kw_only=True)
class FitRecord:
    """One fit as it is written: a trial's, or a finalist's.

    Attributes:
        attempt: Its `attempt_id`.
        name: As the page lists it.
        tags: In place of those of a trial.
    """

    attempt: str
    name: str
    proposal: Proposal
    result: TrialResult
    tags: Mapping[str, str]


class MlflowTracker:
    """Writes one search at a time to an MLflow store that exists.

    See `mlflow_store.ensure_database`.

    Attributes:
        experiment_id, run_id: Of the search; "" before `begin`.
        unkept: Why artifacts are missing, of the first that is; "": none is.
    """

    def __init__(self, uri: str, home: Path) -> None:
        self.experiment_id = ""
        self.run_id = ""
        self.unkept = ""
        self._note = ""  # at the head of the search's page
        self._uri = uri
        self._home = home
        self._client = mlflow_runs.open_client(uri)
        self._sql = mlflow_sql_internals.sql_store(self._client)
        self._artifact_root = ""
        self._known: dict[str, KnownRun] = {}  # by attempt id
        self._attempts: dict[int, set[int]] = {}  # by trial those that have a run
        self._last_step = 0  # of the anytime curve

    @property
    def batch_size(self) -> int:
        """Trials that are best given to `record_trials` at once."""
        return _REMOTE_BATCH if self._sql is None else _BATCH

    def has(self, number: int, attempt: int) -> bool:
        """Whether this attempt at a trial has a run that has ended, and no other attempt one."""
        known = self._known.get(self._attempt_of(number, attempt))
        is_whole = known is not None and known.status != _UNFINISHED
        return is_whole and self._attempts.get(number) == {attempt}

    def close(self) -> None:
        """Close the database's connections; another file may come to lie at its place."""
        mlflow_sql_internals.close_connections(self._client)

    def begin(self, search: SearchRecord) -> None:
        """Create or find the run of a search, mark it as running, look up what is recorded."""
        self._search = search
        self.unkept = ""
        self.experiment_id = experiment_of(self._client, self._uri, self._home, search.study)
        self._artifact_root = self._client.get_experiment(self.experiment_id).artifact_location
        self._look_up_attempts()
        attempt = mlflow_tags.attempt_id(search.id, "search")
        name = mlflow_tags.search_name(search)
        self.run_id = self._find_or_create(attempt, name, search.created_at, {})

        run = self._client.get_run(self.run_id)
        self._note = run.data.tags.get(mlflow_tags.NOTE, "")
        # Its budget may be another than when it began.
        self._client.update_run(self.run_id, status="RUNNING", name=name)
        self._log_search(run)
        self._describe_experiment()
        history = self._client.get_metric_history(self.run_id, "trials")
        self._last_step = max((int(point.step) for point in history), default=0)

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Add one finished trial, unless it is there.

        Raises:
            TrialError: MLflow finds something wrong with what is logged.
        """
        refused = self.record_trials([(proposal, result)])
        if refused:
            raise refused[0]

    def record_trials(self, trials: Sequence[tuple[Proposal, TrialResult]]) -> list[TrialError]:
        """Add the finished trials that are not there; return why some will never be."""
        fits = [self._fit_of(proposal, result) for proposal, result in trials]
        refused = self._record_all(fits)
        for _, result in trials:
            self._supersede(result)
        return refused

    def _fit_of(self, proposal: Proposal, result: TrialResult) -> FitRecord:
        return FitRecord(
            attempt=self._attempt_of(result.number, result.attempt),
            name=f"trial {result.number}",
            proposal=proposal,
            result=result,
            tags={},
        )

    def _attempt_of(self, number: int, attempt: int) -> str:
        return mlflow_tags.attempt_id(self._search.id, "trial", number, attempt)

    def record_finalist(
        self, proposal: Proposal, index: int, result: TrialResult, version: int = 1
    ) -> None:
        """Add one re-run on a fresh seed, unless it is there."""
        ranks = [proposal.number, index]
        name = f"finalist {proposal.number}, seed {result.seed}"
        if version > 1:
            ranks.append(version)
            name += f", version {version}"

        fit = FitRecord(
            attempt=mlflow_tags.attempt_id(self._search.id, "finalist", *ranks),
            name=name,
            proposal=proposal,
            result=result,
            tags={"kind": "finalist"},
        )
        refused = self._record_all([fit])
        if refused:
            raise refused[0]

    def record_progress(self, points: Sequence[Progress]) -> None:
        """Add the points above the last one that is there."""
        new = mlflow_metrics.progress_points(self._search, points, above=self._last_step)
        if not new:
            return
        tags = mlflow_tags.progress_tags(self._search, points[-1])
        _, _, of_winner = self._note.partition(_GAP)
        self._note = tags[mlflow_tags.NOTE] = _joined(tags[mlflow_tags.NOTE], of_winner)
        if self._sql is not None:
            mlflow_sql_internals.append_points(self._sql, self.run_id, new)
            new = []
        mlflow_runs.log(self._client, self.run_id, new, tags=tags)
        self._last_step = points[-1].finished

    def record_winner(self, winner: WinnerRecord, model: Path | None) -> None:
        """Show the numbers of `winner.json` on the search's run, and the model beside them."""
        # The time is the winner's, not this call's: so the same number is never stored twice, and
        # that of a later winner is the one shown.
        at_ms = milliseconds(winner.at)
        figures = mlflow_metrics.winner_metrics(self._search, winner)
        points = [Point(name, value, 0, at_ms) for name, value in figures.items()]
        head, _, _ = self._note.partition(_GAP)
        self._note = _joined(head, mlflow_tags.winner_note(self._search, winner))
        tags = {**mlflow_tags.winner_tags(winner), **texts({mlflow_tags.NOTE: self._note})}

        new = self._new_params(texts(winner.params), tags)
        mlflow_runs.log(self._client, self.run_id, points, new, tags)
        self._keep(partial(self._client.log_dict, self.run_id, winner.to_json(), "winner.json"))
        if model is not None:
            place = (self._client, self.experiment_id, self.run_id)
            facts = facts_of(self._search, winner, figures, at_ms)
            self._keep(partial(show_model, *place, model, facts))

    def record_front(self, front: Json) -> None:
        """Show on the search's run which trials are on the front, its knee and hypervolume."""
        mlflow_runs.log(self._client, self.run_id, tags=mlflow_tags.front_tags(front))

    def record_plan(self, plan: PlanRecord) -> None:
        """Show on the search's run where its trials ran, and why."""
        mlflow_runs.log(self._client, self.run_id, tags=mlflow_tags.plan_tags(plan))

    def record_used(self, used: Usage, at: float) -> None:
        """Show on the search's run what all of it has used."""
        # As for the winner: the time is the search's, so the same number is never stored twice.
        points = mlflow_metrics.used_points(used, at)
        mlflow_runs.log(self._client, self.run_id, points)

    def keep_files(self, path: Path) -> None:
        """Show a file, or every file of a folder, as artifacts of the search's run."""
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        self._keep(partial(log, self.run_id, str(path)))

    def end(self, status: str, at: float) -> None:
        """Remove what lost answers have left twice, then mark the search's run as ended."""
        self._drop_doubles()
        self._client.set_tag(self.run_id, "status", status)
        run_status = mlflow_metrics.ENDS.get(status, "KILLED")
        self._client.set_terminated(self.run_id, run_status, milliseconds(at))

    # --- runs: found by their attempt id, made where they are missing ---

    def _look_up_attempts(self) -> None:
        """Find the runs of the search; the oldest of a double counts, see `_drop_doubles`."""
        self._known = {}
        self._attempts = {}
        prefix = mlflow_tags.attempt_id(self._search.id, "trial", "")
        for run in self._stored_runs():
            self._known.setdefault(run.attempt, KnownRun(run.id, run.status))
            if run.attempt.startswith(prefix):
                number, attempt = run.attempt.removeprefix(prefix).split("/")
                self._attempts.setdefault(int(number), set()).add(int(attempt))

    def _stored_runs(self) -> list[StoredRun]:
        if self._sql is not None:
            return mlflow_sql_internals.recorded_runs(
                self._sql, self.experiment_id, self._search.id, mlflow_tags.ATTEMPT_ID
            )
        runs = mlflow_runs.runs_of_search(self._client, self.experiment_id, self._search.id)
        return [
            StoredRun(
                run.info.run_id, run.info.status, run.data.tags.get(mlflow_tags.ATTEMPT_ID, "")
            )
            for run in runs
        ]

    def _find_or_create(
        self, attempt: str, name: str, started_at: float, tags: Mapping[str, str]
    ) -> str:
        """Return the id of the run of an attempt; it is made where there is none."""
        if attempt not in self._known:
            run_id = mlflow_runs.create(
                self._client,
                self.experiment_id,
                start_time=milliseconds(started_at),
                tags={**tags, mlflow_tags.ATTEMPT_ID: attempt, "search": self._search.id},
                run_name=name,
            )
            self._known[attempt] = KnownRun(run_id, _UNFINISHED)
        return self._known[attempt].id

    def _record_all(self, fits: Sequence[FitRecord]) -> list[TrialError]:
        missing = [fit for fit in fits if not self._is_recorded(fit)]
        if self._sql is None:
            if len(missing) < 2:
                return _refusals(map(self._record, missing))
            with ThreadPoolExecutor(_REQUESTS) as requests:
                return _refusals(requests.map(self._record, missing))

        # What an earlier release was killed over is completed, as it had begun.
        begun = [fit for fit in missing if fit.attempt in self._known]
        new = [fit for fit in missing if fit.attempt not in self._known]
        return [*_refusals(map(self._record, begun)), *self._insert(self._sql, new)]

    def _is_recorded(self, fit: FitRecord) -> bool:
        known = self._known.get(fit.attempt)
        return known is not None and known.status != _UNFINISHED

    def _insert(self, store: SqlAlchemyStore, fits: Sequence[FitRecord]) -> list[TrialError]:
        """Write whole runs in one transaction; those that MLflow would refuse are left out."""
        refused = []
        runs = {}
        for fit in fits:
            run = self._whole_run(fit)
            fault = _refusal(fit, partial(mlflow_sql_internals.check_run, run))
            if fault is None:
                runs[fit.attempt] = run
            else:
                refused.append(fault)

        mlflow_sql_internals.write_runs(store, list(runs.values()))
        self._known |= {attempt: KnownRun(run.id, run.status) for attempt, run in runs.items()}
        return refused

    def _whole_run(self, fit: FitRecord) -> WholeRun:
        result = fit.result
        run_id = mlflow_sql_internals.new_run_id()
        artifact_uri = mlflow_sql_internals.artifact_uri_of(self._artifact_root, run_id)
        tags = {
            **self._tags_of(fit),
            mlflow_tags.ATTEMPT_ID: fit.attempt,
            "search": self._search.id,
        }
        folds = mlflow_metrics.fold_table(result)
        if folds:
            # Before the run is there: killed in between, a file is left that nobody asks for.
            text = json.dumps(_columns(folds), indent=2)
            if self._keep(partial(mlflow_runs.put_file, artifact_uri, "folds.json", text)):
                tags[LOGGED_ARTIFACTS] = table_tag("folds.json")

        return WholeRun(
            id=run_id,
            experiment_id=self.experiment_id,
            name=fit.name,
            status=mlflow_metrics.STATUSES[result.status],
            started_ms=milliseconds(result.started_at),
            ended_ms=milliseconds(result.ended_at),
            artifact_uri=artifact_uri,
            tags=tags,
            params=texts(fit.proposal.params),
            points=mlflow_metrics.trial_points(self._search, result),
        )

    def _tags_of(self, fit: FitRecord) -> dict[str, str]:
        return {
            **mlflow_tags.trial_tags(self._search, fit.proposal, fit.result),
            **fit.tags,
            mlflow_tags.PARENT_RUN: self.run_id,
        }

    def _record(self, fit: FitRecord) -> TrialError | None:
        return _refusal(fit, lambda: self._write(fit))

    def _supersede(self, result: TrialResult) -> None:
        """Delete the runs of other attempts at a trial than the one whose result counts."""
        attempts = self._attempts.setdefault(result.number, set())
        for attempt in attempts - {result.attempt}:
            superseded = self._known.pop(self._attempt_of(result.number, attempt))
            by = self._attempt_of(result.number, result.attempt)
            self._client.set_tag(superseded.id, mlflow_tags.SUPERSEDED_BY, by)
            self._client.delete_run(superseded.id)
            attempts.discard(attempt)
        attempts.add(result.attempt)

    def _write(self, fit: FitRecord) -> None:
        result = fit.result
        run_id = self._find_or_create(fit.attempt, fit.name, result.started_at, self._tags_of(fit))

        points = mlflow_metrics.trial_points(self._search, result)
        mlflow_runs.log(self._client, run_id, points, texts(fit.proposal.params))
        folds = mlflow_metrics.fold_table(result)
        if folds:
            self._log_table(run_id, folds)

        # Last of all: from here on the run counts as recorded.
        status = mlflow_metrics.STATUSES[result.status]
        self._client.set_terminated(run_id, status, milliseconds(result.ended_at))
        self._known[fit.attempt] = KnownRun(run_id, status)

    def _drop_doubles(self) -> None:
        """Delete the runs that a lost answer had made twice; the oldest stays."""
        remaining = {attempt: run.id for attempt, run in self._known.items()}
        searches = set()
        for run in self._stored_runs():
            if remaining.setdefault(run.attempt or run.id, run.id) != run.id:
                self._client.delete_run(run.id)
                searches.add(run.attempt)
        if mlflow_tags.attempt_id(self._search.id, "search") in searches:
            self._adopt()

    def _adopt(self) -> None:
        """Put every run of the search below its own one; the double had some, and is deleted."""
        for run in mlflow_runs.runs_of_search(self._client, self.experiment_id, self._search.id):
            if run.data.tags.get(mlflow_tags.PARENT_RUN, self.run_id) != self.run_id:
                self._client.set_tag(run.info.run_id, mlflow_tags.PARENT_RUN, self.run_id)

    # --- what belongs to the search's own run ---

    def _log_search(self, run: Run) -> None:
        # A resumed search may have another budget.
        new, changed = _apart(texts(self._search.params), run.data.params)
        tags = {**mlflow_tags.search_tags(self._search), "status": "running", **changed}
        mlflow_runs.log(self._client, self.run_id, params=new, tags=tags)

        dataset = self._search.dataset
        if dataset is not None and not (run.inputs and run.inputs.dataset_inputs):
            self._log_dataset(dataset)
        study_file = self._search.study_file
        if study_file is not None and study_file.is_file():
            self._keep(partial(self._client.log_artifact, self.run_id, str(study_file)))

    def _keep(self, put: Callable[[], object]) -> bool:
        """Put a file where artifacts lie; return whether it is there.

        Where it never will be the run goes without it, which is said once (`unkept`).
        """
        try:
            if self._sql is not None and self._artifact_root.startswith(PROXIED):
                raise NeedsServerError
            put()
        except Exception as error:  # whatever the place's own library raises
            fault = lasting_fault(error, self._artifact_root)
            if not fault:
                raise
            self.unkept = self.unkept or fault
            return False
        return True

    def _log_dataset(self, facts: DatasetFacts) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(**mlflow_tags.dataset_texts(facts))
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(self.run_id, [DatasetInput(dataset, [context])])

    def _log_table(self, run_id: str, table: FoldTable) -> None:
        # As `log_table` would, which appends where the file is there already.
        if self._keep(partial(self._client.log_dict, run_id, _columns(table), "folds.json")):
            self._client.set_tag(run_id, LOGGED_ARTIFACTS, table_tag("folds.json"))

    def _describe_experiment(self) -> None:
        for tag in search_views(self._search):
            self._client.set_experiment_tag(self.experiment_id, *tag)
        # What somebody wrote on the page stays.
        note = mlflow_tags.experiment_note(self._search)
        if mlflow_tags.NOTE not in self._client.get_experiment(self.experiment_id).tags:
            self._client.set_experiment_tag(self.experiment_id, mlflow_tags.NOTE, note)

    def _new_params(self, params: Mapping[str, str], tags: dict[str, str]) -> dict[str, str]:
        """Return a winner's parameters that its search's run has not; remove an earlier winner's.

        Args:
            params: Of the winner.
            tags: About to be written; gets the values of parameters that cannot be changed.
        """
        stored = self._client.get_run(self.run_id).data
        new, changed = _apart(params, stored.params)
        if changed and self._sql is not None:
            mlflow_sql_internals.drop_params(self._sql, self.run_id, list(params))
            new, changed = dict(params), {}
        tags |= changed
        for name in stored.tags:
            if name.startswith("winner.") and name not in tags:
                self._client.delete_tag(self.run_id, name)
        return new


def _apart(
    params: Mapping[str, str], stored: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the parameters that are new, and tags of those that are not what is stored.

    MLflow never changes a parameter.
    """
    new = {name: value for name, value in params.items() if name not in stored}
    changed = {
        f"now.{name}": value for name, value in params.items() if stored.get(name, value) != value
    }
    return new, changed


def _joined(of_trials: str, of_winner: str) -> str:
    return _GAP.join(part for part in (of_trials, of_winner) if part)


def _columns(table: FoldTable) -> dict[str, list[object]]:
    """Return a table as MLflow's page reads one."""
    rows = [list(row) for row in zip(*table.values(), strict=True)]
    return {"columns": list(table), "data": list(rows)}


def _refusals(outcomes: Iterable[TrialError | None]) -> list[TrialError]:
    return [outcome for outcome in outcomes if outcome is not None]


def _refusal(fit: FitRecord, write: Callable[[], None]) -> TrialError | None:
    """Write a fit; return why MLflow will never take it, else None."""
    from mlflow.exceptions import MlflowException

    try:
        write()
    except MlflowException as error:
        # MLflow's word for what it will never take; anything else may pass.
        if error.error_code == "INVALID_PARAMETER_VALUE":
            refusal = TrialError(f"{fit.name}: {error.message}")
            refusal.__cause__ = error
            return refusal
        raise
    return None
