"""A user's table: what becomes of its columns, and what is wrong with it in words."""

import numpy as np
import pandas as pd
import pytest

from tests.data.titanic_like import titanic_like
from tuning.cli.new_study.table_study import table_study
from tuning.data.dataset import Column
from tuning.data.facts import notices_on
from tuning.data.tables.frames import table_dataset
from tuning.data.tables.table import Table
from tuning.data.toy import iris
from tuning.errors import StudyError
from tuning.study.study import Study


def of(task="binary", target="y", **columns):
    rows = len(next(iter(columns.values())))
    columns.setdefault("x", np.arange(rows) * 1.5)
    return table_dataset(pd.DataFrame(columns), target, task, name="t", source="t.csv")


def fault(*args, **columns):
    with pytest.raises(StudyError) as caught:
        of(*args, **columns)
    return str(caught.value)


Y = [0, 1] * 4


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_csv_and_parquet_give_the_same_data_set(tmp_path, ending):
    frame, path = titanic_like(), tmp_path / f"people.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)
    data = Table(str(path), "survived", "binary")()
    peer = table_dataset(frame, "survived", "binary", name="people")
    assert (data.name, data.source, data.columns) == ("people", f"people.{ending}", peer.columns)
    assert np.array_equal(data.X, peer.X, equal_nan=True)
    assert np.array_equal(data.y, frame["survived"])


def test_semicolons_and_tabs_separate_too(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b;y\n1,5;x;0\n2,5;z;1\n1,5;x;0\n3,5;z;1\n")
    assert [column.name for column in Table(str(path), "y", "binary")().columns] == ["a", "b"]


def test_words_for_nothing_are_empty_cells_among_numbers_and_texts_among_texts(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "roof,age,old,y\nNone,1,True,None\ntiles,NA,NA,some\n,nan,False,None\nNA,4,True,some\nNone,,True,None\n"
    )
    data = Table(str(path), "y", "binary")()
    assert data.columns == (Column("roof", ("NA", "None", "tiles")), Column("age"), Column("old"))
    empty = np.nan
    expected = [[1, 1, 1], [2, empty, empty], [empty, empty, 0], [0, 4, 1], [1, empty, 1]]
    np.testing.assert_array_equal(data.X, expected)
    assert data.classes == ("None", "some")


def test_numbers_stay_numbers_and_texts_become_categories():
    data = of(n=[1, 2, None, 4, 5, 6, 7, 8], t=[*"abababb", None], b=[True, False] * 4, y=Y)
    assert data.columns == (Column("n"), Column("t", ("a", "b")), Column("b"), Column("x"))
    assert np.isnan(data.X).sum() == 2
    assert data.X[:2].tolist() == [[1, 0, 1, 0], [2, 1, 0, 1.5]]


def test_a_table_of_complete_numbers_is_an_ordinary_data_set():
    data = of(n=[3, 1, 2, 3, 5, 8, 1, 2], y=Y)
    assert (data.columns, data.feature_names, data.input_shape) == ((), ("n", "x"), (2,))


def test_what_cannot_be_learned_from_is_left_out_with_a_remark():
    rows = 60
    data = of(
        id=np.arange(rows) + 7,
        name=[f"person {i}" for i in range(rows)],
        same=["a"] * rows,
        empty=[None] * rows,
        y=[0, 1] * (rows // 2),
    )
    assert data.feature_names == ("x",)
    assert data.notices == (
        "column 'id' numbers the rows: left out",
        "column 'name' holds 60 different texts, more than 50: left out",
        "column 'same' holds nothing but 'a': left out",
        "column 'empty' is empty: left out",
    )


@pytest.mark.parametrize(
    ("task", "y", "numbers", "classes"),
    [
        ("binary", ["no", "yes"] * 2, [0, 1, 0, 1], ("no", "yes")),
        ("binary", [1, 2, 1, 2], [0, 1, 0, 1], ("1", "2")),
        ("binary", [True, False, True, False], [1, 0, 1, 0], ("False", "True")),
        ("multiclass", ["b", "a", "c", "a"], [1, 0, 2, 0], ("a", "b", "c")),
        ("multiclass", [5, 3, 9, 3], [1, 0, 2, 0], ("3", "5", "9")),
        ("regression", [1, 2, 3, 5], [1.0, 2.0, 3.0, 5.0], ()),
    ],
)
def test_the_target_becomes_what_its_task_wants(task, y, numbers, classes):
    data = of(task, y=y)
    assert (data.y.tolist(), data.classes) == (numbers, classes)


@pytest.mark.parametrize(
    ("arguments", "columns", "message"),
    [
        (
            ("binary", "suvived"),
            {"survived": Y},
            "no column 'suvived'. Did you mean 'survived'? There are: survived, x",
        ),
        (
            (),
            {"y": [1] * 8},
            "target 'y' is constant: every row has '1', there is nothing to learn",
        ),
        (
            (),
            {"y": list("abcabcab")},
            "target 'y' holds 3 different values, a binary target has two; fitting: multiclass",
        ),
        (
            (),
            {"y": [0.5, 1.5, 2.5, 3.5]},
            "target 'y' holds 4 different values, a binary target has two; "
            "fitting: regression or multiclass",
        ),
        (
            ("regression",),
            {"y": ["no", "yes"] * 4},
            "target 'y' holds texts such as 'no'; a regression needs numbers, fitting: binary",
        ),
        (("multiclass",), {"y": [0.5, 1, 2, 3]}, "target 'y' holds fractions; fitting: regression"),
        (
            (),
            {"y": [0, 1, None, 1]},
            "target 'y' has 1 empty cells, the first in row 2; drop these rows",
        ),
        (
            ("ranking",),
            {"y": Y},
            "task 'ranking' does not go with a table; there are: regression, binary, multiclass",
        ),
        (
            (),
            {"age": ["12", "x?", "13", "14"] * 2, "y": Y},
            "column 'age' mixes numbers and texts, such as 'x?' in row 1; "
            "write all of them as numbers, or none, or leave the column out; "
            "where it stands for an empty cell: na_values=['x?'], or --na x?",
        ),
        (
            (),
            {"parts": [[1, 2]] * 8, "y": Y},
            "column 'parts' holds lists, such as '[1, 2]'; an input is one number or text: "
            "give each part a column, or leave it out (drop=['parts'], or --drop parts)",
        ),
        ((), {"y": Y, "x": [2] * 8}, "no column is left to predict from"),
        ((), {"y": []}, "there are no rows"),
    ],
)
def test_a_fault_is_told_in_one_sentence(arguments, columns, message):
    assert fault(*arguments, **columns) == f"table 't.csv': {message}"


def test_one_wrong_cell_among_many_numbers_is_told_and_not_taken_for_names():
    cells = [*(str(i * 1.25) for i in range(99)), "twelve"]
    assert "column 'age' mixes numbers and texts, such as 'twelve' in row 99" in fault(
        age=cells, y=[0, 1] * 50
    )


def test_ticket_numbers_are_names_and_not_a_mistake():
    data = of(ticket=[f"A/5 {i}" if i % 3 else str(i) for i in range(90)], y=[0, 1] * 45)
    assert data.notices == ("column 'ticket' holds 90 different texts, more than 50: left out",)


def test_all_faults_come_at_once():
    message = fault(a=["1", "b"] * 4, d=[np.inf, *range(7)], y=[3] * 8)
    assert message.startswith("table 't.csv': 3 faults:")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "there is no such file"),
        (
            "t.xlsx",
            b"",
            "a table's name must end in .csv, .csv.gz, .csv.zip, .tsv, .tsv.gz, .tsv.zip, "
            ".parquet; save the sheet as CSV",
        ),
        ("t.csv", b"", "the file is empty; a header and rows are needed"),
        ("t.csv", b"a,y\n1,2\n1,2,3,4\n", "line 3 has 4 fields, the header has 2; mend the line"),
        ("t.csv", b"# from\na,y\n1,2\n1,2,3\n", "line 4 has 3 fields, the header has 2"),
        ("t.csv.gz", b"a,y\n1,2\n", "cannot be unpacked as .gz: Not a gzipped file"),
        ("t.csv.zip", b"a,y\n1,2\n", "cannot be unpacked as .zip: File is not a zip file"),
        ("t.parquet", b"a,y\n1,2\n", "this is no Parquet file that can be read: "),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError) as caught:
        Table(str(tmp_path / name), "y", "binary")()
    assert str(caught.value).startswith(f"table '{tmp_path / name}': {message}")


def test_uneven_classes_are_remarked_on():
    data = of(y=[0, 0, 0, 1] * 4)
    assert notices_on(data) == (
        "classes are uneven: '0' 75.0%, '1' 25.0% of 16 rows; "
        "always predicting '0' already scores an accuracy of 0.750",
    )
    assert notices_on(of(y=Y)) == notices_on(iris()) == ()


@pytest.mark.parametrize(
    ("task", "metric"),
    [("binary", "val_accuracy"), ("multiclass", "val_accuracy"), ("regression", "val_rmse")],
)
def test_a_table_is_a_study_of_its_own(tmp_path, task, metric):
    path = tmp_path / "My Table.csv"
    titanic_like().to_csv(path, index=False)
    study = table_study(str(path), target="survived", task=task)
    assert isinstance(study, Study)
    assert (study.name, study.objective.metric) == ("my-table-survived", metric)
    assert study.data().y.shape == (200,)


def test_what_a_table_study_lacks_is_told_at_once(tmp_path):
    with pytest.raises(StudyError) as caught:
        table_study("gone.csv", target=None, task="binry")
    assert caught.value.faults == (
        "no file 'gone.csv'",
        "--target COLUMN is missing: which column is to be predicted?",
        "task 'binry' is unknown. Did you mean 'binary'? There are: regression, binary, multiclass",
    )
