"""`tuning list --space`: what a study searches, when, and where it begins."""

from __future__ import annotations

import json

import pytest

from tuning.cli.main import main
from tuning.errors import StudyError
from tuning.reports.space_table import Row, space_table

FILE = """
from tuning import Minimize, Study
from tuning.trials.functions import no_data
def build(hp):
    deep = hp.Boolean("deep", default=True)
    units = hp.Choice("units", [8, 16] if deep else [64])
    rate = hp.Float("rate", 0.1, 0.5, step=0.1) if deep else 0.0
    return units * rate + hp.Float("lr", 1e-4, 1e-2, sampling="log")
STUDY = Study(name="asked", builder=build, data=no_data, objective=Minimize("val_y"),
              trainer="function")
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "asked.py"
    path.write_text(FILE)
    return str(path)


def test_each_alternative_has_a_row_with_its_condition_and_default(file):
    rows = {(row.name, row.condition): row for row in space_table(file).rows}
    assert rows["units", "deep in [True]"].domain == "8, 16"
    assert rows["units", "deep in [True]"].default == "8"
    assert rows["units", "deep in [False]"].default == ""
    assert rows["rate", "deep in [True]"].domain == "0.1 … 0.5, steps of 0.1"
    assert rows["lr", ""] == Row(
        name="lr", domain="0.0001 … 0.01, log", condition="", default="0.0001"
    )


def test_it_is_printed_and_given_as_json(file, capsys):
    assert main(["list", "--space", file]) == 0
    assert "deep in [False]" in capsys.readouterr().out
    assert main(["list", "--space", file, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["study"] == "asked"
    assert printed["space"][0]["name"] == "deep"


def test_a_study_that_is_not_there_is_refused():
    with pytest.raises(StudyError, match="no file"):
        space_table("nowhere.py")
