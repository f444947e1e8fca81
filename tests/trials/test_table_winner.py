"""The winner of a table: it takes prepared rows, the figures that prepare them lie beside it as
JSON.
"""

import json
from functools import partial

import cloudpickle
import keras
import numpy as np
import pandas as pd
import pytest

from tests.data.titanic_like import titanic_like
from tests.trials.small_study import Heard
from tuning import Float, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.builders.perceptron import build_perceptron, custom_objects
from tuning.data.columns import TableScaler
from tuning.data.dataset import Dataset
from tuning.data.tables import encode, table_dataset
from tuning.data.toy import iris_pair
from tuning.errors import StudyError
from tuning.trainer.forward import predict
from tuning.trials.jobs import EvaluationJob
from tuning.trials.winner import evaluate_winner, inputs_of
from tuning.trials.worker_study import worker_study


def data() -> Dataset:
    return table_dataset(titanic_like(), "survived", "binary", name="t")


def evaluated(folder, **changes):
    study = Study(
        **{
            "name": "t",
            "builder": build_model,
            "data": data,
            "objective": Maximize("val_accuracy"),
            "epochs": 3,
            "space": {"lr": Float(1e-3, 1.0)},
            **changes,
        }
    )
    source = cloudpickle.dumps(study)
    job = EvaluationJob(
        source, {}, {"lr": 0.1}, 3, 1, None, folder / "winner.keras", folder / "evaluation.json"
    )
    return worker_study(source, {}), job.saved, evaluate_winner(job, Heard())


def test_it_predicts_from_raw_rows_with_the_figures_beside_it(tmp_path):
    bench, saved, outcome = evaluated(tmp_path)
    assert outcome["reload_error"] == 0.0
    assert set(outcome["baseline"]) == {"dummy", "linear", "perceptron"}
    figures = TableScaler.from_json(
        json.loads((tmp_path / "winner.preprocessing.json").read_text())
    )
    model, test = keras.saving.load_model(saved), bench.parts.test
    by_hand = predict(
        model, figures.transform(encode(pd.DataFrame(titanic_like()), figures.columns))
    )
    assert len(by_hand) == 200
    accuracy = np.mean(
        (predict(model, inputs_of(saved, as_frame(test.X, figures)))[:, 0] > 0.5) == test.y
    )
    assert accuracy == outcome["test"]["accuracy"]


def test_categories_of_another_table_are_found_by_name_and_an_array_is_refused(tmp_path):
    bench, saved, _ = evaluated(tmp_path)
    frame = pd.DataFrame(titanic_like())
    some = frame[frame["class"] != "1st"]  # read by itself, "2nd" would have the number of "1st"
    moved = some[reversed(some.columns)]
    assert np.array_equal(inputs_of(saved, moved), inputs_of(saved, frame)[some.index])
    with pytest.raises(
        StudyError, match=r"give a DataFrame: .* categories of gender, class, embarked"
    ):
        inputs_of(saved, bench.parts.test.X)


def as_frame(X, figures: TableScaler) -> pd.DataFrame:
    """Return the rows with their categories' names again."""
    return pd.DataFrame(
        {
            c.name: [None if np.isnan(v) else c.categories[int(v)] for v in X[:, i]]
            if c.categories
            else X[:, i]
            for i, c in enumerate(figures.columns)
        }
    )


def test_figures_of_an_earlier_table_do_not_stay_beside_a_winner_of_plain_numbers(tmp_path):
    (tmp_path / "winner.preprocessing.json").write_text("{}")
    evaluated(tmp_path, builder=partial(build_model, n_hidden=0), data=iris_pair)
    assert not (tmp_path / "winner.preprocessing.json").exists()


def test_a_subclass_of_model_is_saved_for_raw_inputs_too(tmp_path):
    bench, saved, outcome = evaluated(
        tmp_path, builder=build_perceptron, data=iris_pair, batch_size=1
    )
    assert outcome["test"]["accuracy"] == 1.0
    again = keras.saving.load_model(saved, compile=False, custom_objects=custom_objects())
    assert np.mean((predict(again, bench.parts.test.X)[:, 0] > 0.5) == bench.parts.test.y) == 1.0
