"""Tables as inputs: scikit-learn's own imputer, scaler and one-hot encoder, fitted on the training
rows alone.
"""

import json

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.data.titanic_like import titanic_like
from tuning.data.columns import TableScaler, table_scaler
from tuning.data.dataset import Column
from tuning.data.parts import split
from tuning.data.tables.frames import encode, table_dataset
from tuning.estimators.fold_scaler import FoldScaler

COLUMNS = (Column("age"), Column("port", ("Cork", "Dover")))
NAN = np.nan


def dataset():
    return table_dataset(titanic_like(), "survived", "binary", name="t")


def test_it_is_what_scikit_learns_transformers_make_of_the_training_rows():
    data = dataset()
    parts = split(data, seed=0)
    numeric = [i for i, column in enumerate(data.columns) if not column.categories]
    texts = [i for i, column in enumerate(data.columns) if column.categories]
    peer = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
            (
                "texts",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(sparse_output=False)
                ),
                texts,
            ),
        ]
    ).fit(parts.train.X)
    ours = parts.scaled().test.X
    starts = np.cumsum([0, *(column.width for column in data.columns)])
    order = [s for i in (*numeric, *texts) for s in range(starts[i], starts[i + 1])]
    assert np.allclose(ours[:, order], peer.transform(parts.test.X), atol=1e-6)


def test_figures_come_from_the_rows_given_alone():
    fitted = table_scaler(np.array([[1.0, 1], [3.0, 1], [NAN, 0]]), COLUMNS)
    assert (fitted.fill.tolist(), fitted.mean[0]) == ([2.0, 1.0], 2.0)
    deviation = np.std([1, 3, 2])
    assert np.allclose(fitted.transform(np.array([[9.0, NAN]])), [[7 / deviation, 0, 1]])


def test_a_category_that_training_has_not_seen_becomes_zeros():
    fitted = table_scaler(np.array([[1.0, 1], [3.0, 1]]), COLUMNS)
    assert fitted.transform(np.array([[2.0, 0], [2.0, -1]])).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_column_that_is_empty_or_constant_in_a_fold_becomes_zero():
    fitted = table_scaler(np.array([[NAN, 0], [NAN, 1]]), COLUMNS)
    assert fitted.transform(np.array([[NAN, 0]]))[0, 0] == 0.0
    assert (
        table_scaler(np.array([[5.0, 0], [5.0, 1]]), COLUMNS).transform(np.array([[5.0, 0]]))[0, 0]
        == 0.0
    )


def test_its_json_gives_it_back():
    data = dataset()
    fitted = table_scaler(data.X, data.columns)
    again = TableScaler.from_json(json.loads(json.dumps(fitted.to_json())))
    assert again.columns == data.columns
    assert np.array_equal(again.transform(data.X), fitted.transform(data.X))


def test_a_table_met_later_is_encoded_by_the_names_kept():
    frame = titanic_like()
    data = dataset()
    shuffled = frame.sample(frac=1, axis=1, random_state=0)
    assert np.array_equal(encode(shuffled, data.columns), data.X, equal_nan=True)
    assert encode(frame.assign(gender="unheard of"), data.columns)[0, 0] == -1.0


def test_a_model_is_told_the_width_it_gets_before_and_after_scaling():
    data = dataset()
    parts = split(data, seed=0)
    width = 2 + 1 + 3 + 2 + 3
    assert data.input_shape == parts.input_shape == parts.scaled().input_shape == (width,)
    assert parts.scaled().train.X.shape[1:] == (width,)
    assert parts.scaled().train.X.dtype == np.float32


def test_the_meaning_of_columns_is_part_of_the_digest():
    frame = titanic_like()
    renamed = frame.assign(gender=frame["gender"].str.upper())
    assert dataset().digest != table_dataset(renamed, "survived", "binary", name="t").digest


def test_scikit_learns_engines_scale_tables_by_the_same_figures():
    data = dataset()
    assert np.array_equal(
        FoldScaler(data.columns).fit(data.X).transform(data.X),
        table_scaler(data.X, data.columns).transform(data.X),
    )
