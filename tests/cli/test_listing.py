"""`tuning list` reads study files without running them."""

from __future__ import annotations

import json

import pytest

from tuning.cli.listing import Entry, read_entry, read_folder
from tuning.cli.main import main

WHOLE = '''"""California housing.

More words.
"""
raise RuntimeError("a study file must not run to be listed")
STUDY = Study(
    name="housing", objective=Minimize("val_rmse"), engine="optuna:gp", trials=7)
'''


@pytest.fixture
def studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


def entry(studies, text) -> Entry:
    path = studies / "housing.py"
    path.write_text(text)
    return read_entry(path)


def test_a_study_is_read_without_being_run(studies):
    assert entry(studies, WHOLE) == Entry(
        "housing", "optuna:gp", "minimize val_rmse", 7, "California housing."
    )


def test_what_a_study_leaves_out_has_the_default_of_study(studies):
    read = entry(studies, 'STUDY: Study = tuning.Study(objective=Maximize(metric="val_auc"))')
    assert (read.engine, read.objective, read.trials) == ("optuna:tpe", "maximize val_auc", 20)


def test_a_study_without_a_limit_of_trials_has_none(studies):
    assert entry(studies, "STUDY = Study(trials=None)").trials is None


def test_what_a_changed_copy_does_not_say_is_unknown(studies):
    read = entry(studies, 'STUDY = housing.STUDY.with_(engine="gridsearchcv")')
    assert (read.engine, read.objective, read.trials) == ("gridsearchcv", None, None)


def test_a_file_that_does_not_parse_is_listed_with_its_line(studies):
    assert (
        entry(studies, "x = 1\nSTUDY = Study(").about
        == "does not parse: '(' was never closed in line 2"
    )


def test_files_that_begin_with_an_underscore_are_helpers(studies):
    for name in ("b", "a", "_helpers"):
        (studies / f"{name}.py").write_text("")
    assert [read.name for read in read_folder(studies)] == ["a", "b"]


def test_json_is_a_list_of_all_fields(studies, capsys):
    (studies / "housing.py").write_text(WHOLE)
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "name": "housing",
            "engine": "optuna:gp",
            "objective": "minimize val_rmse",
            "trials": 7,
            "about": "California housing.",
        }
    ]


def test_the_table_shows_markup_in_a_docstring_as_it_is(studies, capsys):
    (studies / "odd.py").write_text('"""A [bold]odd[/] one."""\nSTUDY = Study()')
    assert main(["list"]) == 0
    assert "[bold]odd[/]" in capsys.readouterr().out


def test_an_empty_folder_names_the_next_step(studies, capsys):
    assert main(["list"]) == 0
    assert "tuning new NAME" in capsys.readouterr().out


def test_what_libraries_print_on_import_is_not_in_the_way_of_a_space(studies, capfd):
    (studies / "loud.py").write_text(
        "import os\n"
        "from tuning import Int, Minimize, Study\n"
        "os.write(2, b'oneDNN custom operations are on\\n')\n"
        "STUDY = Study(name='loud', builder=lambda n=1: n, data=lambda: None,\n"
        "    space={'n': Int(1, 3)}, objective=Minimize('val_y'), trainer='function')\n"
    )
    assert main(["list", "--space", "loud"]) == 0
    shown = capfd.readouterr()
    assert "1 … 3" in shown.out
    assert shown.err == ""
