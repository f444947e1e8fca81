"""The state folder."""

from __future__ import annotations

import os

import pytest

from tuning.errors import StorageError
from tuning.storage.home import tuning_home


def test_the_folder_is_made_for_its_owner_alone(tmp_path):
    home = tuning_home(str(tmp_path / "a" / "b"))
    assert (home.is_dir(), home.stat().st_mode & 0o777) == (True, 0o700)


def test_what_is_given_wins_over_the_variable_which_wins_over_mlruns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNING_HOME", raising=False)
    assert tuning_home() == tmp_path / "mlruns"
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "variable"))
    assert tuning_home() == tmp_path / "variable"
    assert tuning_home(str(tmp_path / "given")) == tmp_path / "given"


def test_a_folder_that_others_can_write_to_is_refused_with_the_remedy(tmp_path):
    tmp_path.chmod(0o770)
    with pytest.raises(StorageError, match=f"chmod 700 {tmp_path}"):
        tuning_home(str(tmp_path))


@pytest.mark.parametrize("name", ["100%", "what?"])
def test_a_path_that_no_database_url_takes_is_refused(tmp_path, name):
    with pytest.raises(StorageError, match="neither MLflow nor Optuna takes a path with"):
        tuning_home(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the state folder"):
        tuning_home(str(tmp_path / "file" / "home"))


@pytest.mark.parametrize("name", ["ledger", "data", "artifacts", "reports"])
def test_a_folder_within_that_others_can_write_to_is_refused(tmp_path, name):
    home = tuning_home(str(tmp_path / "home"))
    (home / name).mkdir()
    (home / name).chmod(0o777)
    with pytest.raises(StorageError, match=f"chmod 700 {home / name}"):
        tuning_home(str(home))


def test_another_users_folder_is_refused(tmp_path, monkeypatch):
    home = tuning_home(str(tmp_path / "home"))
    monkeypatch.setattr(os, "getuid", lambda: home.stat().st_uid + 1)
    with pytest.raises(StorageError, match=f"{home} belongs to .*: chown -R .* {home}"):
        tuning_home(str(home))


def test_a_folder_that_anybody_could_replace_is_refused_and_one_below_a_sticky_one_is_not(tmp_path):
    above = tmp_path / "above"
    above.mkdir()
    home = tuning_home(str(above / "home"))
    above.chmod(0o777)
    with pytest.raises(StorageError, match=f"everybody may write to {above}.*chmod o-w {above}"):
        tuning_home(str(home))
    above.chmod(0o1777)
    assert tuning_home(str(home)) == home
