"""A winner is used alike by `load_winner`, predict.py and MLflow, whatever it was trained on."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

import tuning
from tests.data.titanic_like import titanic_like
from tests.winners.trained import KINDS, NUMBERS, WORDS, trained
from tuning.cli.main import main
from tuning.errors import StudyError
from tuning.winners import standalone
from tuning.winners.signature import signature_of

ROWS = {
    "numbers": pd.DataFrame({"b": NUMBERS[:5, 1], "id": range(5), "a": NUMBERS[:5, 0]}),
    "table": titanic_like().drop(columns="survived").head(5),
    "texts": WORDS[:5].astype(object),
    "two": {"deep": np.hstack([NUMBERS, NUMBERS[:, :1]])[:5], "wide": NUMBERS[:5]},
}


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """A search of each kind, once for all tests: each takes a second or two."""
    home = tmp_path_factory.mktemp("home")
    return home, {kind: trained(home, kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_predicts_what_the_winner_predicts(searches, tmp_path, kind):
    home, _ = searches
    folder = tmp_path / "out"
    used = tuning.load_winner(kind, home=home)
    assert main(["export", kind, "--to", str(folder), "--home", str(home)]) == 0
    rows = ROWS[kind]
    if hasattr(rows, "columns"):
        rows = {name: rows[name].to_numpy() for name in rows.columns}
    alone = standalone.predict(rows, folder=folder)[""]
    together = used.predict(ROWS[kind])
    if alone.dtype.kind == "f":
        np.testing.assert_allclose(alone, together, rtol=1e-5)
    else:
        assert alone.tolist() == together.tolist()


def test_a_winner_of_several_inputs_names_the_one_that_is_missing(searches):
    used = tuning.load_winner("two", home=searches[0])
    with pytest.raises(StudyError, match="takes the inputs wide, deep; deep is missing"):
        used.predict({"wide": NUMBERS})


def test_a_winner_of_texts_takes_a_list_and_answers_with_class_names(searches):
    used = tuning.load_winner("texts", home=searches[0])
    assert set(used.predict(["good day", "bad day"])) <= {"bad", "good"}
    assert used.predict_proba(["good day"]).shape == (1, 2)


def test_a_winner_of_a_table_finds_categories_by_their_names(searches):
    used = tuning.load_winner("table", home=searches[0])
    rows = titanic_like().drop(columns="survived")
    backwards = rows[list(rows.columns)[::-1]]
    np.testing.assert_array_equal(used.predict_proba(rows), used.predict_proba(backwards))
    with pytest.raises(StudyError, match="give a DataFrame"):
        used.predict(np.zeros((2, len(rows.columns))))


def test_the_signature_names_columns_and_types(searches):
    files = searches[1]
    signature = signature_of(files["numbers"].folder / "winner.keras", ("a", "b")).to_mlflow()
    assert [column["name"] for column in json.loads(signature["inputs"])] == ["a", "b"]
    assert {column["type"] for column in json.loads(signature["inputs"])} == {"double"}
    table = signature_of(files["table"].folder / "winner.keras", ()).to_mlflow()
    types = {column["name"]: column["type"] for column in json.loads(table["inputs"])}
    assert set(types.values()) == {"double", "string"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*type hint")  # MLflow's own, of its own classes
@pytest.mark.parametrize("kind", KINDS)
def test_mlflow_predicts_its_own_example_by_the_signature(searches, tmp_path, monkeypatch, kind):
    import mlflow

    home, _ = searches
    folder = tmp_path / "out"
    assert main(["export", kind, "--to", str(folder), "--home", str(home)]) == 0
    monkeypatch.setattr(sys, "path", [*sys.path])
    loaded = mlflow.pyfunc.load_model(str(folder))
    assert loaded.metadata.signature.outputs is not None
    example = loaded.input_example
    used = tuning.load_winner(kind, home=home).predict(example)
    answers = loaded.predict(example)
    if answers.dtype.kind == "f":
        np.testing.assert_allclose(answers, used, rtol=1e-5)
    else:
        assert answers.tolist() == used.tolist()
    assert len(answers) == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numbers", "table", "two"])
def test_onnx_predicts_what_the_model_predicts(searches, tmp_path, kind):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    home, _ = searches
    folder = tmp_path / "out"
    assert main(["export", kind, "--to", str(folder), "--onnx", "--home", str(home)]) == 0
    used = tuning.load_winner(kind, home=home)
    inputs = used.inputs(ROWS[kind])
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    names = [each.name for each in session.get_inputs()]
    fed = inputs if isinstance(inputs, dict) else {names[0]: inputs}
    (predicted,) = session.run(None, fed)
    np.testing.assert_allclose(predicted, used.model(inputs, training=False), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_texts_are_refused_as_onnx(searches, tmp_path, capsys):
    pytest.importorskip("tf2onnx")
    words = ["export", "texts", "--to", str(tmp_path / "out"), "--onnx"]
    assert main([*words, "--home", str(searches[0])]) == 2
    assert "takes texts, which ONNX does not read" in capsys.readouterr().err
    assert not (tmp_path / "out" / "model.onnx").exists()


def test_without_the_extra_onnx_says_what_to_install(searches, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    words = ["export", "numbers", "--to", str(tmp_path / "out"), "--onnx"]
    assert main([*words, "--home", str(searches[0])]) == 3
    assert "pip install tf2onnx onnxruntime" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
