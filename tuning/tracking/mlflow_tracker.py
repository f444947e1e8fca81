"""MLflow: a run for each search, below it a run for each finished trial.

Explicit run ids only, never autolog, never the asynchronous queue. A run carries the tag
`attempt_id`; it is looked up before a run is created, and a run counts as recorded once its status
is final, which is written last. So after a crash, or an answer that got lost on its way, the same
call finds what is there and adds what is missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning.errors import TrialError
from tuning.ledger.records import WinnerRecord
from tuning.tracking import mlflow_records as records
from tuning.tracking.base import Progress, SearchRecord
from tuning.tracking.mlflow_model import model_folder
from tuning.tracking.mlflow_store import experiment_of
from tuning.trial import Proposal, TrialResult

if TYPE_CHECKING:
    from mlflow.entities import Run

_PARENT = "mlflow.parentRunId"
_ATTEMPT = "attempt_id"
_PAGE = 500


class MlflowTracker:
    """Writes one search at a time to an MLflow store that exists (see
    `mlflow_store.ensure_database`).

    Attributes:
        experiment_id, run_id: Of the search; "" before `begin`.
    """

    def __init__(self, uri: str, home: Path) -> None:
        from mlflow.tracking import MlflowClient

        self._uri, self._home = uri, home
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.experiment_id = self.run_id = ""
        self._known: dict[str, tuple[str, str]] = {}  # attempt id → run id, status
        self._step = 0

    def begin(self, search: SearchRecord) -> None:
        """Create or find the run of a search, mark it as running, look up what is recorded."""
        self._search = search
        self.experiment_id = self._experiment(search.study)
        self._known = dict(self._attempts())
        self.run_id = self._run(
            records.attempt_id(search.id, "search"), self._parent_name(), search.created_at, {}
        )
        run = self._client.get_run(self.run_id)
        self._client.update_run(self.run_id, status="RUNNING")
        self._log_search(run)
        self._client.set_experiment_tag(self.experiment_id, *records.view_tag(search))
        self._step = int(
            max((p.step for p in self._client.get_metric_history(self.run_id, "trials")), default=0)
        )

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Add one finished trial, unless it is there.

        Raises:
            TrialError: MLflow finds something wrong with what is logged.
        """
        self._record(
            records.attempt_id(self._search.id, "trial", result.number, result.attempt),
            f"trial {result.number}",
            proposal,
            result,
            {},
        )

    def record_finalist(
        self, proposal: Proposal, index: int, result: TrialResult, version: int = 1
    ) -> None:
        """Add one re-run on a fresh seed, unless it is there."""
        later, said = ((version,), f", version {version}") if version > 1 else ((), "")
        self._record(
            records.attempt_id(self._search.id, "finalist", proposal.number, index, *later),
            f"finalist {proposal.number}, seed {result.seed}{said}",
            proposal,
            result,
            {"kind": "finalist"},
        )

    def record_progress(self, points: Sequence[Progress]) -> None:
        """Add the points above the last one that is there."""
        found = records.progress_metrics(self._search, points, self._step)
        if found:
            self._log(
                self.run_id,
                found,
                {},
                records.texts(records.progress_tags(self._search, points[-1])),
            )
            self._step = points[-1].finished

    def record_winner(self, winner: WinnerRecord, model: Path | None) -> None:
        """Show the numbers of `winner.json` on the search's run, and the model beside them."""
        # Of the winner, not of this call: the same number is never stored twice, and that of a
        # later winner is shown.
        at = records.milliseconds(winner.at)
        points = [
            records.Point(name, value, 0, at)
            for name, value in records.winner_metrics(winner).items()
        ]
        tags: dict[str, Any] = {f"winner.{name}": value for name, value in winner.params.items()}
        tags["winner_trial"] = winner.number
        for name in self._client.get_run(self.run_id).data.tags:
            if (
                name.startswith("winner.") and name not in tags
            ):  # an earlier winner's, which had other parameters
                self._client.delete_tag(self.run_id, name)
        self._log(self.run_id, points, {}, records.texts(tags))
        self._client.log_dict(self.run_id, winner.to_json(), "winner.json")
        if model is not None:
            self._log_model(model, winner)

    def keep_files(self, path: Path) -> None:
        """Show a file, or every file of a folder, as artifacts of the search's run."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path))
        else:
            self._client.log_artifact(self.run_id, str(path))

    def end(self, status: str, at: float) -> None:
        """Remove what lost answers have left twice, then mark the search's run as ended."""
        self._drop_doubles()
        self._client.set_tag(self.run_id, "status", status)
        self._client.set_terminated(
            self.run_id, records.ENDS.get(status, "KILLED"), records.milliseconds(at)
        )

    def _parent_name(self) -> str:
        return f"{self._search.engine} {self._search.id.rsplit('-', 1)[-1]}"

    def _experiment(self, study: str) -> str:
        return experiment_of(self._client, self._uri, self._home, study)

    def _runs(self, condition: str) -> Iterator[Run]:
        token: str | None = None
        while token != "":
            page = self._client.search_runs(
                [self.experiment_id],
                condition,
                max_results=_PAGE,
                order_by=["start_time ASC", "run_id ASC"],
                page_token=token,
            )
            yield from page
            token = page.token or ""

    def _attempts(self) -> Iterator[tuple[str, tuple[str, str]]]:
        for run in reversed(
            list(self._runs(f"tags.search = '{self._search.id}'"))
        ):  # the oldest of a double wins
            yield run.data.tags.get(_ATTEMPT, ""), (run.info.run_id, run.info.status)

    def _run(self, attempt: str, name: str, started_at: float, tags: Mapping[str, str]) -> str:
        """Return the id of the run of an attempt; it is made where there is none."""
        if attempt not in self._known:
            own = {**tags, _ATTEMPT: attempt, "search": self._search.id}
            run = self._client.create_run(
                self.experiment_id,
                start_time=records.milliseconds(started_at),
                tags=own,
                run_name=name,
            )
            self._known[attempt] = run.info.run_id, "RUNNING"
        return self._known[attempt][0]

    def _record(
        self,
        attempt: str,
        name: str,
        proposal: Proposal,
        result: TrialResult,
        changed: Mapping[str, str],
    ) -> None:
        from mlflow.exceptions import MlflowException

        if self._known.get(attempt, ("", "RUNNING"))[1] != "RUNNING":
            return
        try:
            self._write(attempt, name, proposal, result, changed)
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE":
                raise TrialError(f"{name}: {error.message}") from error
            raise

    def _write(
        self,
        attempt: str,
        name: str,
        proposal: Proposal,
        result: TrialResult,
        changed: Mapping[str, str],
    ) -> None:
        tags = {
            **records.trial_tags(self._search, proposal, result),
            **changed,
            _PARENT: self.run_id,
        }
        run_id = self._run(attempt, name, result.started_at, tags)
        points = records.trial_points(self._search, result)
        self._log(run_id, points, records.texts(proposal.params), {})
        if table := records.fold_table(result):
            self._log_table(run_id, table)
        status = records.STATUSES[result.status]
        self._client.set_terminated(run_id, status, records.milliseconds(result.ended_at))
        self._known[attempt] = run_id, status

    def _log(
        self,
        run_id: str,
        points: Sequence[records.Point],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(p.key, p.value, p.at_ms, p.step) for p in points]
        pairs = [Param(key, value) for key, value in params.items()]
        marks = [RunTag(key, value) for key, value in tags.items()]
        for start in range(
            0, max(len(metrics), 1), 800
        ):  # 1,000 entities a call, 100 of them params or tags
            rest = ([], []) if start else (pairs[:100], marks[:100])
            self._client.log_batch(run_id, metrics[start : start + 800], *rest, synchronous=True)
        for start in range(100, max(len(pairs), len(marks)), 100):
            self._client.log_batch(
                run_id, [], pairs[start : start + 100], marks[start : start + 100], synchronous=True
            )

    def _log_table(self, run_id: str, table: Mapping[str, Sequence[Any]]) -> None:
        # As `log_table` would, which appends where the file is there already.
        rows = [list(row) for row in zip(*table.values(), strict=True)]
        self._client.log_dict(run_id, {"columns": list(table), "data": rows}, "folds.json")
        self._client.set_tag(
            run_id, "mlflow.loggedArtifacts", '[{"path": "folds.json", "type": "table"}]'
        )

    def _log_search(self, run: Run) -> None:
        params = records.texts(self._search.params)
        known = run.data.params
        new = {name: value for name, value in params.items() if name not in known}
        # A resumed search may have another budget; MLflow never changes a parameter.
        changed = {
            f"now.{name}": value
            for name, value in params.items()
            if known.get(name, value) != value
        }
        self._log(
            self.run_id,
            [],
            new,
            {**records.parent_tags(self._search), **changed, "status": "running"},
        )
        if self._search.dataset and not (run.inputs and run.inputs.dataset_inputs):
            self._log_dataset()
        study = self._search.study_file
        if study is not None and study.is_file():
            self._client.log_artifact(self.run_id, str(study))

    def _log_dataset(self) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(**records.dataset_texts(self._search.dataset))
        tags = [InputTag("mlflow.data.context", "training")]
        self._client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])

    def _log_model(self, model: Path, winner: WinnerRecord) -> None:
        from mlflow.entities import LoggedModelOutput

        found = self._client.search_logged_models(
            [self.experiment_id], f"source_run_id = '{self.run_id}'"
        )
        with tempfile.TemporaryDirectory() as temporary:
            folder = model_folder(model, Path(temporary) / "model", self.run_id)
            digest = folder.digest
            ready = [
                m for m in found if m.tags.get("sha256") == digest and str(m.status) == "READY"
            ]
            if ready:
                return
            logged = self._client.create_logged_model(
                self.experiment_id,
                "winner",
                self.run_id,
                {"sha256": digest},
                records.texts(winner.params),
                "keras",
            )
            self._client.log_model_artifacts(logged.model_id, str(folder.path))
        self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, 0)])

    def _drop_doubles(self) -> None:
        first: dict[str, str] = {}
        for run in self._runs(f"tags.search = '{self._search.id}'"):
            attempt = run.data.tags.get(_ATTEMPT, run.info.run_id)
            kept = self._known.get(attempt, (first.setdefault(attempt, run.info.run_id), ""))[0]
            if run.info.run_id != kept:
                self._client.delete_run(run.info.run_id)
