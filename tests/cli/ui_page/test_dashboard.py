"""`tuning dashboard`: this machine's own browsers may look, and change nothing."""

from __future__ import annotations

import importlib.util

import pytest

from tuning.cli.dashboard import guarded, storage_of
from tuning.cli.main import main
from tuning.errors import MissingError


def asked(**environ):
    """Return what the guard answers to a request, "inside" where the dashboard does."""
    said = []
    answer = guarded(lambda environ, start: [b"inside"], 8080)
    request = {"HTTP_HOST": "127.0.0.1:8080", "REQUEST_METHOD": "GET", **environ}
    body = answer(request, lambda status, headers: said.append(status))
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
