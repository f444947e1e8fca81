"""The winner of a table: it takes prepared rows; the figures that prepare them lie beside it."""

import json
from functools import partial

import cloudpickle
import keras
import numpy as np
import pandas as pd
import pytest

from tests.data.titanic_like import titanic_like
from tests.trials.small_study import ScriptedContext
from tuning import Float, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.builders.perceptron import build_perceptron, custom_objects
from tuning.data.columns import TableScaler
from tuning.data.dataset import Dataset
from tuning.data.tables.frames import encode, table_dataset
from tuning.data.toy import iris_pair
from tuning.errors import StudyError
from tuning.trainer.forward import predict
from tuning.trials.jobs import EvaluationJob
from tuning.trials.verdict.answers import Output, outputs_of
from tuning.trials.winner import evaluate_winner, inputs_of
from tuning.trials.worker_study import load_worker_study


def data() -> Dataset:
    return table_dataset(titanic_like(), "survived", "binary", name="t")


def evaluated(folder, **changes):
    settings = {
        "name": "t",
        "builder": build_model,
        "data": data,
        "objective": Maximize("val_accuracy"),
        "epochs": 3,
        "space": {"lr": Float(1e-3, 1.0)},
    }
    source = cloudpickle.dumps(Study(**{**settings, **changes}))
    job = EvaluationJob(
        source=source,
        overrides={},
        params={"lr": 0.1},
        epochs=3,
        seed=1,
        weights=None,
        saved=folder / "winner.keras",
        file=folder / "evaluation.json",
    )
    return load_worker_study(source, {}), job.saved, evaluate_winner(job, ScriptedContext())


def accuracy(model, X, y):
    return np.mean((predict(model, X)[:, 0] > 0.5) == y)


def test_it_predicts_from_raw_rows_with_the_figures_beside_it(tmp_path):
    worker_study, saved, outcome = evaluated(tmp_path)
    assert outcome.reload_error == 0.0
    assert set(outcome.baseline) == {"dummy", "linear", "perceptron"}

    stored = json.loads((tmp_path / "winner.preprocessing.json").read_text())
    figures = TableScaler.from_json(stored)
    model = keras.saving.load_model(saved)
    whole = encode(pd.DataFrame(titanic_like()), figures.columns)
    assert len(predict(model, figures.transform(whole))) == 200

    test = worker_study.parts.test
    X = inputs_of(saved, as_frame(test.X, figures))
    assert accuracy(model, X, test.y) == outcome.test["accuracy"]


def test_categories_of_another_table_are_found_by_name_and_an_array_is_refused(tmp_path):
    worker_study, saved, _ = evaluated(tmp_path)
    frame = pd.DataFrame(titanic_like())
    some = frame[frame["class"] != "1st"]  # read by itself, "2nd" would have the number of "1st"
    moved = some[reversed(some.columns)]
    assert np.array_equal(inputs_of(saved, moved), inputs_of(saved, frame)[some.index])
    with pytest.raises(
        StudyError, match=r"give a DataFrame: .* categories of gender, class, embarked"
    ):
        inputs_of(saved, worker_study.parts.test.X)


def test_what_its_outputs_mean_lies_beside_it(tmp_path):
    named = partial(titanic_like_of, classes=("drowned", "saved"))
    worker_study, saved, _ = evaluated(tmp_path, data=named)
    (output,) = outputs_of(saved)
    assert output == Output(task="binary", classes=worker_study.parts.classes)
    assert output.classes == ("drowned", "saved")


def titanic_like_of(classes) -> Dataset:
    frame = titanic_like()
    named = [classes[int(value)] for value in frame["survived"]]
    return table_dataset(frame.assign(survived=named), "survived", "binary", name="t")


def as_frame(X, figures: TableScaler) -> pd.DataFrame:
    """Return the rows with their categories' names again."""
    columns = {}
    for column, values in zip(figures.columns, X.T, strict=True):
        if column.categories:
            columns[column.name] = [
                None if np.isnan(value) else column.categories[int(value)] for value in values
            ]
        else:
            columns[column.name] = values
    return pd.DataFrame(columns)


def test_figures_of_an_earlier_table_do_not_stay_beside_a_winner_of_plain_numbers(tmp_path):
    (tmp_path / "winner.preprocessing.json").write_text("{}")
    evaluated(tmp_path, builder=partial(build_model, n_hidden=0), data=iris_pair)
    assert not (tmp_path / "winner.preprocessing.json").exists()


def test_a_subclass_of_model_is_saved_for_raw_inputs_too(tmp_path):
    worker_study, saved, outcome = evaluated(
        tmp_path, builder=build_perceptron, data=iris_pair, batch_size=1
    )
    assert outcome.test["accuracy"] == 1.0
    again = keras.saving.load_model(saved, compile=False, custom_objects=custom_objects())
    test = worker_study.parts.test
    assert accuracy(again, test.X, test.y) == 1.0
