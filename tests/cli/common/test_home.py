"""`--home` names the state folder, for every verb."""

from __future__ import annotations

import os

import click
import pytest

from tuning.cli.common.home import with_home
from tuning.cli.main import VERBS, app, main
from tuning.storage.home import tuning_home


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_it(verb):
    with click.Context(app) as context:
        command = app.get_command(context, verb)
    assert [p.opts for p in command.params].count(["--home"]) == 1


def test_a_verb_that_asks_for_no_folder_uses_it_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", "before")
    used = []

    @click.command()
    def verb():
        used.append(tuning_home())

    with_home(verb)
    verb.main(["--home", str(tmp_path / "mine")], standalone_mode=False)
    assert used == [tmp_path / "mine"]
    assert os.environ["TUNING_HOME"] == "before"


def test_without_it_the_environment_counts(tmp_path, monkeypatch):
    monkeypatch.delenv("TUNING_HOME", raising=False)

    @click.command()
    def verb():
        raise AssertionError(os.environ.get("TUNING_HOME"))

    with pytest.raises(AssertionError, match="None"):
        with_home(verb).main([], standalone_mode=False)


def test_compare_reads_the_folder_that_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("TUNING_HOME", raising=False)
    assert main(["compare", "a", "b", "--home", str(tmp_path / "mine")]) == 2
    assert str(tmp_path / "mine") in capsys.readouterr().err
