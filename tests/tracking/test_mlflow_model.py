"""The winner as MLflow shows it: what it takes, an example, its figures and their data set."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tuning
from tests.winners.trained import trained
from tuning.storage.secrets import without_secrets
from tuning.tracking.base import SearchRecord
from tuning.tracking.mlflow_store import ensure_database
from tuning.tracking.mlflow_tracker import MlflowTracker


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*type hint")  # MLflow's own, of its own classes
@pytest.mark.parametrize("kind", ["numbers", "table"])
def test_the_logged_model_answers_for_rows_as_users_have_them(tmp_path, monkeypatch, kind):
    import mlflow
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    ensure_database(uri)
    files = trained(tmp_path, kind)
    tracker = MlflowTracker(uri, tmp_path)
    tracker.begin(SearchRecord.from_header(files.require_header()))
    for _ in range(2):
        tracker.record_winner(files.winner, files.folder / "winner.keras")
    tracker.close()

    (logged,) = MlflowClient(uri).search_logged_models([tracker.experiment_id])
    data = files.require_header().data
    of_data = {(metric.dataset_name, metric.dataset_digest) for metric in logged.metrics}
    assert of_data == {(without_secrets(data.name), data.digest[:16])}
    figures = {metric.key: metric.value for metric in logged.metrics}
    for name, value in files.winner.evaluation.test.items():
        assert figures[f"test_{name}"] == pytest.approx(value)

    monkeypatch.setattr(sys, "path", [*sys.path])
    loaded = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    example = loaded.input_example
    used = tuning.load_winner(kind, home=tmp_path)
    if kind == "numbers":
        np.testing.assert_allclose(loaded.predict(example), used.predict(example), rtol=1e-5)
    else:
        assert loaded.predict(example).tolist() == used.predict(example).tolist()
        chances = loaded.predict(example, {"proba": True})
        np.testing.assert_allclose(chances, used.predict_proba(example), rtol=1e-5)
