"""The admin's password, and the folder of accounts."""

from __future__ import annotations

import os
import stat

import click
import pytest

from tuning.cli.ui_page import accounts as accounts_module
from tuning.cli.ui_page.accounts import (
    Accounts,
    ask_for_password,
    given_password,
    password_faults,
)
from tuning.errors import StorageError, StudyError
from tuning.storage.secrets import without_secrets
from tuning.tracking.mlflow_internals import ADMIN_PASSWORD

GOOD = "canary-horse-battery"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(ADMIN_PASSWORD, raising=False)


def password_file(tmp_path, text=f"{GOOD}\nnot this line\n", mode=0o600):
    path = tmp_path / "password"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_first_line_of_a_file_is_the_password_and_no_text_shows_it(tmp_path):
    assert given_password(password_file(tmp_path)) == (GOOD, [])
    assert GOOD not in without_secrets(f"the file held {GOOD}")


def test_the_variable_is_taken_out_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(ADMIN_PASSWORD, GOOD)
    assert given_password(None) == (GOOD, [])
    assert ADMIN_PASSWORD not in os.environ
    assert given_password(None) == (None, [])


def test_a_file_wins_over_the_variable_which_is_taken_out_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv(ADMIN_PASSWORD, "another password")
    assert given_password(password_file(tmp_path)) == (GOOD, [])
    assert ADMIN_PASSWORD not in os.environ


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_is_refused_with_the_command_that_helps(tmp_path, mode):
    path = password_file(tmp_path, mode=mode)
    password, (fault,) = given_password(path)
    assert password is None
    assert fault.endswith(f"chmod 600 {path} (--password-file)")


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "gone", tmp_path):
        fault = f"{path} is not there, or is no file (--password-file)"
        assert given_password(path) == (None, [fault])


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "has 0 characters"),
        ("elevenchars", "has 11 characters; it needs 12 or more"),
        ("password1234", "among the first that anybody tries"),
        ("Password1234", "among the first that anybody tries"),
        ("aaaaaaaaaaaaaaaa", "among the first that anybody tries"),
        ("pässword horse", "other characters than the printable ones of ASCII"),
        ("a tab\tin a password", "other characters than the printable ones of ASCII"),
    ],
)
def test_a_weak_password_is_refused_from_anywhere(tmp_path, monkeypatch, password, words):
    assert any(words in fault for fault in password_faults(password))
    assert any(words in fault for fault in given_password(password_file(tmp_path, password))[1])
    monkeypatch.setenv(ADMIN_PASSWORD, password)
    assert any(words in fault for fault in given_password(None)[1])
    at_a_terminal(monkeypatch, password)
    with pytest.raises(StudyError, match=words):
        ask_for_password()


class Stdin:
    def __init__(self, *, terminal):
        self.isatty = lambda: terminal


def at_a_terminal(monkeypatch, typed):
    asked = []

    def prompt(text, **options):
        asked.append(options)
        return typed

    monkeypatch.setattr(accounts_module.sys, "stdin", Stdin(terminal=True))
    monkeypatch.setattr(click, "prompt", prompt)
    return asked


def test_at_a_terminal_it_is_typed_twice_and_not_shown(monkeypatch):
    asked = at_a_terminal(monkeypatch, GOOD)
    assert ask_for_password() == GOOD
    assert [(a["hide_input"], a["confirmation_prompt"]) for a in asked] == [(True, True)]


def test_without_a_terminal_the_ways_to_give_one_are_told(monkeypatch):
    monkeypatch.setattr(accounts_module.sys, "stdin", Stdin(terminal=False))
    with pytest.raises(StudyError, match="mode 0600 for --password-file FILE, set MLFLOW_AUTH"):
        ask_for_password()


def test_the_folder_is_its_owners_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        accounts = Accounts(tmp_path)
        environment = accounts.prepare(GOOD)
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in accounts.folder.iterdir()}
    assert modes == {"users.db": 0o600, "settings.ini": 0o600, "secret_key": 0o600}
    assert stat.S_IMODE(accounts.folder.stat().st_mode) == 0o700
    assert all(GOOD not in path.read_text() for path in accounts.folder.iterdir())
    assert environment["MLFLOW_BASIC_AUTH_FAIL_CLOSED"] == "true"
    assert not accounts.has_admin()


def test_the_key_is_random_and_stays(tmp_path):
    (tmp_path / "b").mkdir()
    key = "MLFLOW_FLASK_SERVER_SECRET_KEY"
    first = Accounts(tmp_path).prepare(GOOD)[key]
    assert len(first) == 64
    assert Accounts(tmp_path).prepare(GOOD)[key] == first
    assert Accounts(tmp_path / "b").prepare(GOOD)[key] != first


@pytest.mark.parametrize("name", ["users.db", "secret_key", "settings.ini", "."])
def test_a_folder_or_file_that_others_may_read_is_refused(tmp_path, name):
    accounts = Accounts(tmp_path)
    accounts.prepare(GOOD)
    path = accounts.folder / name
    path.chmod(0o750 if path.is_dir() else 0o640)
    with pytest.raises(StorageError, match=r"others may read .*chmod [67]00"):
        Accounts(tmp_path)


def test_a_link_in_place_of_the_users_is_refused(tmp_path):
    accounts = Accounts(tmp_path)
    accounts.users.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StorageError, match=r"users\.db is a link"):
        Accounts(tmp_path)


def test_damaged_users_are_told_with_the_remedy(tmp_path):
    accounts = Accounts(tmp_path)
    accounts.users.write_bytes(b"no database" * 500)
    accounts.users.chmod(0o600)
    with pytest.raises(StorageError, match=r"users\.db: file is not a database\. Put it back"):
        accounts.has_admin()
