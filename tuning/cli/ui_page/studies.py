"""The studies that MLflow's page shows, and how it shows them to whom comes for the first time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import NamedTuple

from tuning.errors import StorageError
from tuning.tracking.mlflow_internals import WORKFLOW, table_choices
from tuning.tracking.mlflow_store import sqlite_path
from tuning.tracking.mlflow_view import TRIALS_VIEW, VIEW, VIEW_TAG

_QUERY = """
    SELECT experiments.name, experiments.experiment_id, experiment_tags.value
    FROM experiments JOIN experiment_tags USING (experiment_id)
    WHERE experiment_tags.key = ? AND experiments.lifecycle_stage = 'active'
    ORDER BY experiments.name
"""


class StudyPage(NamedTuple):
    """A study's experiment in MLflow, and the value of its tag `VIEW_TAG`."""

    study: str
    experiment: str
    view: str

    @property
    def path(self) -> str:
        """Of its table of runs, with the view's columns whatever the browser has kept."""
        return self._path(VIEW)

    @property
    def trials_path(self) -> str:
        """Of the trials of all its engines."""
        return self._path(TRIALS_VIEW)

    def _path(self, view: str) -> str:
        return f"/#/experiments/{self.experiment}/runs?{WORKFLOW}&viewStateShareKey={view}"


def study_pages(uri: str) -> list[StudyPage]:
    """Return the studies of a store; read without MLflow, whose import takes seconds.

    None of a store that is no SQLite file.

    Raises:
        StorageError: The database is damaged.
    """
    path = sqlite_path(uri)
    if path is None:
        return []
    try:
        with closing(sqlite3.connect(path, timeout=5)) as database:
            rows = database.execute(_QUERY, (VIEW_TAG,)).fetchall()
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"{path}: {error}. `tuning sync` puts it aside and writes it anew from the ledger"
        ) from error
    return [StudyPage(study, str(number), view) for study, number, view in rows]


def first_choices(uri: str) -> dict[str, str]:
    """Return what a browser finds chosen of each study's table; nothing where it cannot be read."""
    choices: dict[str, str] = {}
    try:
        pages = study_pages(uri)
    except StorageError:
        return choices
    for page in pages:
        choices |= table_choices(page.experiment, page.view)
    return choices
