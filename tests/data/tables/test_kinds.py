"""Every kind of table that people have: right, or a clear word; a row of the documentation each."""

import inspect
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.tables.kinds import AGE, INCOME, KINDS, PEOPLE, ROWS, frame, text
from tuning.data.columns import TableScaler, table_scaler
from tuning.data.dataset import Dataset
from tuning.data.tables import Table
from tuning.data.tables.frames import encode
from tuning.errors import StudyError

DOCUMENT = Path(__file__).parents[3] / "docs" / "tables.md"


def write(kind, folder):
    path = folder / f"people.{kind.ending}"
    if inspect.signature(kind.write).parameters.get("path") is not None:
        kind.write(path)
        return path
    content = kind.write()
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def sources(data: Dataset):
    columns = data.columns
    names = [column.source for column in columns] if columns else data.feature_names
    return tuple(dict.fromkeys(names))


@pytest.mark.parametrize("kind", KINDS, ids=[kind.row for kind in KINDS])
def test_a_kind_is_read_or_refused_in_words(kind, tmp_path):
    table = Table(str(write(kind, tmp_path)), kind.target, kind.task)
    if kind.fault:
        with pytest.raises(StudyError, match=re.escape(kind.fault)):
            table()
        return
    data = table()
    assert sources(data) == kind.inputs
    assert len(data.notices) == len(kind.notices), data.notices
    for part in kind.notices:
        assert any(part in notice for notice in data.notices), data.notices


@pytest.mark.parametrize(
    "row", ["decimal comma", "1.234,56", "1,234.56", "$42000", "42000 €", "Windows-1252, as Excel"]
)
def test_the_figures_are_those_of_the_plain_table(row, tmp_path):
    kind = next(kind for kind in KINDS if kind.row.startswith(row))
    data = Table(str(write(kind, tmp_path)), "bought", "binary")()
    assert data.X[:, 1] == pytest.approx(INCOME)
    assert data.columns[2].categories == ("Aachen", "Bonn", "Köln")


@pytest.mark.parametrize("row", ["a name in front of each row", "a separator at the end"])
def test_fields_stand_under_their_own_names(row, tmp_path):
    kind = next(kind for kind in KINDS if kind.row.startswith(row))
    data = Table(str(write(kind, tmp_path)), "income", "regression")()
    assert data.y == pytest.approx(INCOME)
    assert np.array_equal(data.X[:, 0], AGE)


def test_points_between_thousands_are_no_decimal_points(tmp_path):
    kind = next(kind for kind in KINDS if kind.row.startswith("1.234 beside"))
    data = Table(str(write(kind, tmp_path)), "bought", "binary")()
    assert np.array_equal(data.X[:, 3], PEOPLE)


def test_time_goes_on_where_clocks_are_set_back(tmp_path):
    path = tmp_path / "t.parquet"
    hours = pd.date_range("2024-10-26 22:00", periods=ROWS, freq="20min", tz="Europe/Berlin")
    frame(at=hours).to_parquet(path)
    data = Table(str(path), "bought", "binary", time="at")()
    assert (np.diff(data.time) == np.timedelta64(20, "m")).all()


def test_the_documentation_has_a_row_for_each_kind():
    _, _, table = DOCUMENT.read_text(encoding="utf-8").partition("| table | what happens |")
    rows = re.findall(r"^\| ([^|]+) \| ", table, flags=re.MULTILINE)
    assert rows == [kind.row for kind in KINDS]


def dated():
    days = pd.date_range("2024-03-01", periods=ROWS, freq="5h")
    return frame(at=days.strftime("%d.%m.%Y %H:%M"), paid=[f"{v:.1f} €" for v in INCOME])


def test_rows_to_come_are_read_as_the_table_was(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text(dated()))
    data = Table(str(path), "bought", "binary")()
    parts = [c.reading.part for c in data.columns if c.reading and c.reading.part]
    assert parts == ["day", "weekday", "hour", "days"]

    scaler = table_scaler(data.X, data.columns)
    kept = TableScaler.from_json(scaler.to_json())  # as it lies beside a winner
    rows = dated().drop(columns="bought").iloc[7:9]
    np.testing.assert_allclose(encode(rows, kept.columns), data.X[7:9])
    assert np.array_equal(kept.transform(data.X), scaler.transform(data.X))


def test_texts_to_come_where_there_were_numbers_are_refused_by_name(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text())
    columns = Table(str(path), "bought", "binary")().columns
    with pytest.raises(StudyError, match="column 'income' held numbers in the table"):
        encode(frame().assign(income="1,5"), columns)


def test_what_was_guessed_can_be_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text(frame(x=np.where(AGE % 5 == 0, -999, AGE)), sep=";").encode("cp1252"))
    data = Table(
        str(path), "bought", "binary", sep=";", encoding="cp1252", na_values=["-999"], drop=["town"]
    )()
    assert data.notices == ()
    assert sources(data) == ("age", "income", "x")
    assert np.isnan(data.X[:, 2]).sum() == (AGE % 5 == 0).sum()


def test_numbers_that_are_names_become_categories(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text(frame(zip=50_000 + AGE % 4)))
    data = Table(str(path), "bought", "binary", keep_text=["zip"])()
    assert data.columns[3].categories == ("50000", "50001", "50002", "50003")


def test_a_column_that_tells_the_target_can_be_vouched_for(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text(frame(cents=INCOME * 100)))
    assert "cents" in sources(Table(str(path), "income", "regression", trust=["cents"])())


def test_columns_may_say_what_rows_count_where_they_belong_and_when_they_were(tmp_path):
    path = tmp_path / "t.csv"
    days = pd.date_range("2024-01-01", periods=ROWS)
    path.write_text(text(frame(w=AGE / 10, shop=[f"s{v % 6}" for v in AGE], day=days.date)))
    data = Table(str(path), "bought", "binary", weight="w", groups="shop", time="day")()
    assert sources(data) == ("age", "income", "town")
    assert data.weight == pytest.approx(AGE / 10)
    assert len(np.unique(data.groups)) == 6
    assert (np.diff(data.time) == np.timedelta64(1, "D")).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": ["agee"]}, "drop: no column 'agee'. Did you mean 'age'?"),
        ({"weight": "town"}, "weight: column 'town' must hold numbers from 0 on"),
        ({"time": "town"}, "time: column 'town' must hold numbers or dates in every row"),
        ({"parse_dates": ["town"]}, "column 'town' is said to hold dates, but"),
        ({"encoding": "utf9"}, "encoding 'utf9' is unknown"),
        ({"encoding": "ascii"}, "the text is not ascii: byte"),
        ({"drop": ["bought"]}, "drop: 'bought' is the target"),
    ],
)
def test_a_wrong_option_is_told(options, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text())
    with pytest.raises(StudyError, match=re.escape(message)):
        Table(str(path), "bought", "binary", **options)()
