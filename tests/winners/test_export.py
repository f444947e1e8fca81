"""`tuning export --to`: a folder that predicts by itself what the winner predicts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tuning
from tests.data.titanic_like import titanic_like
from tests.winners.test_winner import ROWS, won
from tuning.cli.main import main
from tuning.data.columns import table_scaler
from tuning.data.tables.frames import table_dataset
from tuning.winners import standalone

ALONE = """
import runpy, sys
for name in ("tuning", "pandas", "sklearn", "mlflow", "optuna"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_script_predicts_with_tensorflow_and_numpy_alone(home, tmp_path, capsys):
    won(home)
    folder = tmp_path / "out"
    assert main(["export", "toy", "--to", str(folder)]) == 0
    assert sorted(file.name for file in folder.iterdir()) == [
        "MLmodel",
        "README.md",
        "model.keras",
        "predict.py",
        "schema.json",
    ]
    rows = tmp_path / "rows.csv"
    rows.write_text("id,b,a\n7,10,1\n8,30,3\n")
    command = [sys.executable, "-c", ALONE, folder / "predict.py", rows]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said == "prediction\n11.0\n33.0\n"
    np.testing.assert_allclose(tuning.load_winner("toy").predict(ROWS), [11.0, 33.0])


def test_a_folder_that_holds_something_is_left_as_it_is(home, tmp_path, capsys):
    won(home)
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["export", "toy", "--to", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_tables_are_prepared_as_the_winner_prepares_them(tmp_path):
    frame = titanic_like()
    data = table_dataset(frame, "survived", "binary", name="t")
    scaler = table_scaler(data.X, data.columns)
    columns = scaler.to_json()["columns"]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    made = standalone.table(standalone.read(tmp_path / "rows.csv"), columns)
    np.testing.assert_allclose(made, scaler.transform(data.X), rtol=1e-6)


def test_rows_that_lack_a_column_are_refused():
    with pytest.raises(SystemExit, match="lack the columns b"):
        standalone.inputs_of({"a": [1]}, {"columns": None, "inputs": None, "features": ["a", "b"]})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*type hint")  # MLflow's own, of its own classes
def test_mlflow_predicts_the_same_from_the_folder(home, tmp_path, monkeypatch):
    import mlflow
    import pandas as pd

    won(home)
    folder = tmp_path / "out"
    assert main(["export", "toy", "--to", str(folder)]) == 0
    monkeypatch.setattr(sys, "path", [*sys.path])
    loaded = mlflow.pyfunc.load_model(str(folder))
    frame = pd.DataFrame({"b": ROWS[:, 1], "a": ROWS[:, 0]})
    np.testing.assert_allclose(loaded.predict(frame), [11.0, 33.0])
