"""`tuning dashboard`: this machine's own browsers may look, and change nothing."""

from __future__ import annotations

import importlib.util
import json
from wsgiref.util import setup_testing_defaults

import pytest

from tests.tracking.writer.searches import end, search, trial
from tuning.cli.dashboard import _application, guarded, storage_of
from tuning.cli.main import main
from tuning.errors import MissingError
from tuning.tracking.optuna_storage import OptunaProjection


def asked(**environ):
    """Return what the guard answers to a request, "inside" where the dashboard does."""
    said = []
    answer = guarded(lambda environ, start: [b"inside"], 8080)
    request = {"HTTP_HOST": "127.0.0.1:8080", "REQUEST_METHOD": "GET", **environ}
    body = answer(request, lambda status, headers, *fault: said.append(status))
    return said[0] if said else body[0].decode()


def test_this_machine_may_look():
    assert asked() == "inside"
    assert asked(HTTP_HOST="localhost:8080", HTTP_ORIGIN="http://localhost:8080") == "inside"


@pytest.mark.parametrize(
    "request_",
    [
        {"HTTP_HOST": "evil.example"},
        {"HTTP_HOST": "127.0.0.1:9"},
        {"HTTP_ORIGIN": "https://evil.example"},
        {"REQUEST_METHOD": "DELETE"},
        {"REQUEST_METHOD": "POST"},
    ],
)
def test_others_and_changes_are_refused(request_):
    assert asked(**request_) == "403 Forbidden"


def test_without_a_search_there_is_nothing_to_show(tmp_path, monkeypatch):
    monkeypatch.delenv("TUNING_STORAGE", raising=False)
    with pytest.raises(MissingError, match="Nothing to show yet"):
        storage_of(tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec("optuna_dashboard") is not None, reason="it is installed"
)
def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    from tuning.tracking.optuna_storage import ensure_storage

    monkeypatch.delenv("TUNING_STORAGE", raising=False)
    ensure_storage(f"sqlite:///{tmp_path / 'optuna.db'}")
    assert main(["dashboard", "--home", str(tmp_path)]) == 3
    assert "pip install optuna-dashboard" in capsys.readouterr().err


def test_the_page_has_every_trial_by_number_and_the_metrics_name(tmp_path):
    pytest.importorskip("optuna_dashboard")
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    files = search(tmp_path, engine="keras-tuner:random")
    projection = OptunaProjection(storage)
    projection.begin(files.header)
    for number in (1, 0):
        projection.record_trials([trial(number)])
    end(files)
    answer = json.loads(page(_application(storage), "/api/studies/1"))
    assert [each["number"] for each in answer["trials"]] == [0, 1]
    assert answer["objective_names"] == ["val_rmse"]
    assert b"<html" in page(_application(storage), "/dashboard").lower()


def page(application, path):
    """Return what the dashboard answers to a browser of this machine."""
    environ = {"PATH_INFO": path, "HTTP_HOST": "localhost:8080"}
    setup_testing_defaults(environ)
    said = []

    def start(status, headers, *fault):
        said.append(status)

    answer = guarded(application, 8080)(environ, start)
    assert said == ["200 OK"]
    return b"".join(answer)
