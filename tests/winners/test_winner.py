"""`load_winner`: a winner that is used, by itself and on rows as users have them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

import tuning
from tests.tracking.writer.searches import add_trials, end, search, winner
from tuning.cli.main import main
from tuning.data.parts import Scaler
from tuning.errors import StudyError, TuningError
from tuning.ledger.model_file import sha256_of
from tuning.study.info import DatasetFacts
from tuning.trials.saved_model import inputs_of, save_for_raw_inputs
from tuning.trials.verdict.answers import Output

ROWS = np.array([[1.0, 10.0], [3.0, 30.0]])


def won(home, *, model=None, study="toy", engine="optuna:tpe", **facts):
    """A search that has ended with a winner that adds up its two inputs, or with another model."""
    data = DatasetFacts(
        name="sums", **{"features": ("a", "b"), "rows": 9, "input_shape": (2,), **facts}
    )
    files = search(home, study=study, engine=engine, data=data)
    add_trials(files, range(3))
    path = files.folder / "winner.keras"
    save_for_raw_inputs(model or _sums(), Scaler(np.zeros(2), np.ones(2)), path)
    record = winner(number=1)
    evaluation = replace(record.evaluation, model=str(path), sha256=sha256_of(path))
    files.write_winner(replace(record, evaluation=evaluation))
    end(files)
    return files


def _sums(units=1, activation=None):
    dense = keras.layers.Dense(units, activation=activation, kernel_initializer="ones")
    return keras.Sequential([keras.Input((2,)), dense])


def test_a_winner_predicts_numbers_and_has_its_parameters(home):
    won(home)
    used = tuning.load_winner("toy")
    assert used.params == {"lr": 0.1}
    assert used.number == 1
    np.testing.assert_allclose(used.predict(ROWS), [11.0, 33.0])
    with pytest.raises(StudyError, match="predicts numbers"):
        used.predict_proba(ROWS)


def test_columns_of_a_frame_are_found_by_name_and_missing_ones_are_said(home):
    model = _sums()
    model.layers[0].set_weights([np.array([[1.0], [-1.0]]), np.zeros(1)])
    won(home, model=model)
    used = tuning.load_winner("toy")
    frame = pd.DataFrame({"id": [7, 8], "b": ROWS[:, 1], "a": ROWS[:, 0]})
    np.testing.assert_allclose(used.predict(frame), [-9.0, -27.0])
    with pytest.raises(StudyError, match="lack the columns b; the winner takes a, b"):
        used.predict(frame[["a", "id"]])


def test_classes_are_named_also_of_a_winner_that_kept_no_meaning(home):
    won(home, model=_sums(2, "softmax"), task="binary", classes=("no", "yes"))
    used = tuning.load_winner("toy")
    assert used.classes == ("no", "yes")
    assert used.predict_proba(ROWS).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert used.predict(ROWS).tolist() == ["no", "no"]


def test_the_model_file_may_be_given_as_text(home):
    files = won(home)
    path = str(files.folder / "winner.keras")
    assert np.array_equal(inputs_of(path, ROWS), ROWS)


def test_a_file_that_was_exchanged_is_not_loaded(home):
    files = won(home)
    _sums().save(files.folder / "winner.keras")
    with pytest.raises(TuningError, match="is not the file that was saved"):
        tuning.load_winner("toy").predict(ROWS)


def test_a_search_without_a_winner_says_how_to_get_one(home):
    end(search(home), status="interrupted")
    with pytest.raises(StudyError, match="toy/optuna-tpe has no winner: it is interrupted; end it"):
        tuning.load_winner("toy")


def test_parameters_and_card_come_without_tensorflow(home):
    won(home)
    code = (
        "import sys, tuning; used = tuning.load_winner('toy'); print(used.card, used.params);"
        "print('started', {'tensorflow', 'keras'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert "started set()" in said
    assert "- val_rmse: 0.5 over one fresh seed" in said
    assert "how much the score varies is not known" in said


def test_predict_prints_a_column_of_answers(home, tmp_path, capsys):
    won(home)
    rows = tmp_path / "rows.csv"
    rows.write_text("b,a\n10,1\n30,3\n")
    assert main(["predict", "toy", str(rows)]) == 0
    assert capsys.readouterr().out == "prediction\n11.0\n33.0\n"


def test_predict_names_the_probabilities_after_the_classes(home, tmp_path, capsys):
    won(home, model=_sums(2, "softmax"), task="binary", classes=("no", "yes"))
    np.save(tmp_path / "rows.npy", ROWS)
    assert main(["predict", "toy", str(tmp_path / "rows.npy"), "--proba"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "probability_no,probability_yes",
        "0.5,0.5",
        "0.5,0.5",
    ]


def test_logits_become_probabilities_and_a_threshold_parts_the_classes():
    output = Output(task="binary", link="sigmoid", classes=("no", "yes"))
    logits = np.array([[-1.0], [1.0]])
    np.testing.assert_allclose(output.probabilities(logits)[:, 1], [0.268941, 0.731059], atol=1e-6)
    assert output.answers(logits).tolist() == ["no", "yes"]
    assert output.answers(logits, threshold=0.2).tolist() == ["yes", "yes"]


def test_labels_are_zeros_and_ones_and_many_classes_the_most_probable():
    chances = np.array([[0.2, 0.7], [0.6, 0.1]])
    assert Output(task="multilabel").answers(chances).tolist() == [[0, 1], [1, 0]]
    assert Output(task="multiclass").answers(chances).tolist() == [1, 0]


def test_a_binary_mask_keeps_its_shape():
    masks = np.full((3, 4, 4, 1), 0.9)
    assert Output(task="binary").answers(masks).shape == (3, 4, 4)
    assert Output(task="binary").probabilities(masks).shape == (3, 4, 4, 2)


def test_logits_that_nobody_declared_are_refused():
    with pytest.raises(StudyError, match="probabilities lie between 0 and 1"):
        Output(task="binary").answers(np.array([[3.0]]))


def test_a_winner_shows_itself_in_a_line_and_as_html(home):
    won(home, classes=("no", "<b>yes</b>"))
    used = tuning.load_winner("toy")
    assert repr(used) == "Winner('toy/optuna-tpe': trial 1, val_rmse 0.5)"
    shown = used._repr_html_()
    assert "The winner of toy/optuna-tpe: trial 1" in shown
    assert "lr=0.1" in shown
    assert "val_rmse over one fresh seed" in shown
    assert "rmse</th>" in shown
    assert "no, &lt;b&gt;yes&lt;/b&gt;" in shown
