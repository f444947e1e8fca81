"""`tuning run path/to/table.csv --target … --task …`, through the front door."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tests.data.titanic_like import titanic_like
from tuning.cli import table_options
from tuning.cli.main import main
from tuning.data.tables import files
from tuning.data.tables.options import TableOptions

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.csv"], "no file 'gone.csv'"),
        (
            ["gone.parquet", "--target", "y"],
            "--task is missing. There are: regression, binary, multiclass",
        ),
        (
            ["gone.csv.gz", "--task", "binary"],
            "--target COLUMN is missing: which column is to be predicted?",
        ),
        (
            ["housing", "--task", "binary"],
            "--target and --task are for tables (.csv, .csv.gz, .csv.zip, .tsv, .tsv.gz, .tsv.zip, "
            ".parquet); 'housing' is not one",
        ),
        (["housing", "--na", "?", "--group", "g"], "--group, --na are for tables"),
        (["t.csv", "--dates", "day=%d.%m.%Y", "--dates", "day"], "--dates day is given twice"),
    ],
)
def test_what_is_wrong_with_the_call_is_told_before_anything_starts(arguments, message, capsys):
    assert main(["run", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_endings_are_those_that_can_be_read():
    assert table_options.SUFFIXES == files.SUFFIXES


def test_each_option_of_a_table_is_a_field_of_it():
    given = {
        "drop": ("a",),
        "parse_dates": ("day", "month=%Y-%m"),
        "keep_text": ("zip",),
        "trust": ("b",),
        "weight": "w",
        "groups": "g",
        "time": "t",
        "na_values": ("?",),
        "decimal": ",",
        "thousands": ".",
        "encoding": "cp1252",
        "sep": ";",
    }
    assert set(given) == {field.name for field in fields(TableOptions)}
    as_fields = table_options.taken_out({**given, "seed": 3})
    assert as_fields == {**given, "parse_dates": {"day": "", "month": "%Y-%m"}}


def run(folder, *arguments):
    command = [
        sys.executable,
        "-m",
        "tuning",
        "run",
        str(folder / "people.csv"),
        *arguments,
        "--json",
    ]
    return subprocess.run(
        [*command, "--trials", "2", "--epochs", "2", "--top-k", "1", "--seeds", "1"],
        cwd=ROOT,
        check=False,
        env={"TUNING_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_table_is_searched_and_its_classes_are_remarked_on(tmp_path):
    titanic_like().to_csv(tmp_path / "people.csv", index=False)
    done = run(tmp_path, "--target", "survived", "--task", "binary")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["study"] == "people-survived"
    assert summary["trials"]["completed"] == 2
    assert Path(summary["model"]).with_name("winner.preprocessing.json").exists()
    assert "classes are uneven: '0' " in done.stderr


@pytest.mark.slow
def test_a_wrong_column_is_told_with_the_nearest(tmp_path):
    titanic_like().to_csv(tmp_path / "people.csv", index=False)
    done = run(tmp_path, "--target", "surived", "--task", "binary")
    assert done.returncode == 2
    assert "no column 'surived'. Did you mean 'survived'?" in done.stderr
