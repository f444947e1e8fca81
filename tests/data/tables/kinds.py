"""One small table of each kind that people have, and what becomes of it.

`docs/tables.md` has a row for each: a test compares the two lists.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 60
RNG = np.random.default_rng(5)
AGE = RNG.integers(18, 80, ROWS)
INCOME = RNG.normal(42_000, 9_000, ROWS).round(2)
TOWN = RNG.choice(["Köln", "Bonn", "Aachen"], ROWS)
BOUGHT = (RNG.random(ROWS) < 0.5).astype(int)
PLAIN = ("age", "income", "town")


def frame(**further: object) -> pd.DataFrame:
    """Return the plain table; further columns stand before the target."""
    columns = {"age": AGE, "income": INCOME, "town": TOWN, **further, "bought": BOUGHT}
    return pd.DataFrame(columns)


def text(table: pd.DataFrame | None = None, **how: object) -> str:
    """Return a table as CSV."""
    return (frame() if table is None else table).to_csv(index=False, **how)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of table.

    Attributes:
        row: Its row's name in the documentation.
        write: Writes it to a path without an ending, or returns its text.
        ending: Of the file.
        inputs: Sources of the inputs, in order, each once.
        notices: Parts of the notices that it must give; where empty, it gives none.
        fault: Part of the fault that it must give; "": it is read.
        task: What is predicted.
        target: The column.
        check: Given the data set.
    """

    row: str
    write: Callable[[], str | bytes] | Callable[[Path], None]
    ending: str = "csv"
    inputs: tuple[str, ...] = PLAIN
    notices: tuple[str, ...] = ()
    fault: str = ""
    task: str = "binary"
    target: str = "bought"


def _parquet(**further: object) -> Callable[[Path], None]:
    return lambda path: frame(**further).to_parquet(path)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.csv", text())


def _lines(edit: Callable[[list[str]], list[str]]) -> Callable[[], str]:
    return lambda: "\n".join(edit(text().splitlines())) + "\n"


def _money(sign: str) -> Callable[[], str]:
    return lambda: text(frame().assign(income=[sign.format(value) for value in INCOME]))


def _point_for_comma(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def _points(value: float) -> str:
    return f"{value:,.0f}".replace(",", ".")


DAYS = pd.date_range("2024-01-01", periods=ROWS, freq="9D")
PEOPLE = RNG.integers(200, 90_000, ROWS)

KINDS = (
    Kind(row="plain CSV", write=text),
    Kind(row="semicolons", write=lambda: text(sep=";"), notices=("separated by semicolons",)),
    Kind(row="tabs", write=lambda: text(sep="\t"), notices=("separated by tabs",)),
    Kind(row="bars", write=lambda: text(sep="|"), notices=("separated by bars",)),
    Kind(row=".tsv", write=lambda: text(sep="\t"), ending="tsv", notices=("by tabs",)),
    Kind(row=".csv.gz", write=lambda: gzip.compress(text().encode()), ending="csv.gz"),
    Kind(row=".csv.zip", write=_zip, ending="csv.zip"),
    Kind(
        row="more separators in the header than columns",
        write=lambda: text(frame().rename(columns={"age": "age; years; full; n"})),
        inputs=("age; years; full; n", "income", "town"),
    ),
    Kind(
        row="decimal comma",
        write=lambda: text(sep=";", decimal=","),
        notices=("semicolons", "'income' read as numbers with decimal commas"),
    ),
    Kind(
        row="1.234,56",
        write=lambda: text(frame().assign(income=list(map(_point_for_comma, INCOME))), sep=";"),
        notices=("semicolons", "with decimal commas, with '.' between thousands"),
    ),
    Kind(
        row="1.234 beside decimal commas",
        write=lambda: text(frame(people=list(map(_points, PEOPLE))), sep=";", decimal=","),
        inputs=(*PLAIN, "people"),
        notices=("semicolons", "'income' read as", "'people' read as numbers with decimal commas"),
    ),
    Kind(row="1,234.56", write=_money("{:,.2f}"), notices=("with ',' between thousands",)),
    Kind(row="$42000", write=_money("${:.2f}"), notices=("read as numbers in $",)),
    Kind(row="42000 €", write=_money("{:.2f} €"), notices=("read as numbers in €",)),
    Kind(row="12.5%", write=_money("{:.1f}%"), notices=("read as numbers in %",)),
    Kind(
        row="numbers with the usual words for nothing",
        write=lambda: text(frame(x=[f"{v:.1f}" if v % 2 else "n/v" for v in AGE])),
        inputs=("age", "income", "town", "x"),
        notices=("with 'n/v' for empty cells",),
    ),
    Kind(
        row="-999 for nothing",
        write=lambda: text(frame(x=np.where(AGE % 5 == 0, -999, AGE))),
        inputs=("age", "income", "town", "x"),
        notices=("'x' holds -999",),
    ),
    Kind(
        row="numbers and other words",
        write=lambda: text(frame(x=[str(v) if v % 2 else "about ten" for v in AGE])),
        fault="column 'x' mixes numbers and texts, such as 'about ten'",
    ),
    Kind(
        row="dates",
        write=lambda: text(frame(day=DAYS.strftime("%Y-%m-%d"))),
        inputs=(*PLAIN, "day"),
        notices=("'day' holds dates: its inputs are year, month, day, weekday, days",),
    ),
    Kind(
        row="German dates",
        write=lambda: text(frame(day=DAYS.strftime("%d.%m.%Y"))),
        inputs=(*PLAIN, "day"),
        notices=("'day' holds dates",),
    ),
    Kind(
        row="dates that can be read in two ways",
        write=lambda: text(frame(day=[f"0{1 + i % 9}/0{1 + i % 7}/2024" for i in range(ROWS)])),
        inputs=(*PLAIN, "day"),
        notices=("read as %m/%d/%Y, parse_dates= can say %d/%m/%Y",),
    ),
    Kind(
        row="months",
        write=lambda: text(frame(month=[f"20{20 + i // 12}-{1 + i % 12:02}" for i in range(ROWS)])),
        inputs=(*PLAIN, "month"),
        notices=("'month' holds dates",),
    ),
    Kind(
        row="dates in Parquet",
        write=_parquet(day=DAYS),
        ending="parquet",
        inputs=(*PLAIN, "day"),
        notices=("'day' holds dates",),
    ),
    Kind(
        row="dates with a time zone in Parquet",
        write=_parquet(day=DAYS.tz_localize("Europe/Berlin")),
        ending="parquet",
        inputs=(*PLAIN, "day"),
        notices=("'day' holds dates",),
    ),
    Kind(
        row="spans of time in Parquet",
        write=_parquet(span=DAYS - DAYS[0]),
        ending="parquet",
        inputs=(*PLAIN, "span"),
        notices=("'span' holds spans of time: read in seconds",),
    ),
    Kind(
        row="lists in Parquet",
        write=_parquet(parts=[[1, 2]] * ROWS),
        ending="parquet",
        fault="column 'parts' holds lists",
    ),
    Kind(
        row="categories, empty cells and truth values in Parquet",
        write=_parquet(
            kind=pd.Categorical(TOWN),
            some=pd.array([1, None, 3] * (ROWS // 3), dtype="Int64"),
            yes=pd.array([True, None, False] * (ROWS // 3), dtype="boolean"),
        ),
        ending="parquet",
        inputs=(*PLAIN, "kind", "some", "yes"),
    ),
    Kind(row="UTF-8 with a byte order mark", write=lambda: text().encode("utf-8-sig")),
    Kind(row="UTF-16", write=lambda: text().encode("utf-16"), notices=("read as UTF-16",)),
    Kind(
        row="Windows-1252, as Excel writes it",
        write=lambda: text().encode("cp1252"),
        notices=("read as Windows-1252",),
    ),
    Kind(
        row="names of columns in any script",
        write=lambda: text(frame().rename(columns={"age": "年齢", "town": "città 🏙"})),
        inputs=("年齢", "income", "città 🏙"),
    ),
    Kind(row="\\r\\n between lines", write=lambda: text().replace("\n", "\r\n")),
    Kind(row="\\r between lines", write=lambda: text().replace("\n", "\r")),
    Kind(
        row="line breaks, quotes and separators in cells",
        write=lambda: text(frame(note=["a\nb", 'says "no"', "a,b"] * (ROWS // 3))),
        inputs=(*PLAIN, "note"),
    ),
    Kind(row="spaces in the header", write=lambda: text().replace("age,income", " age , income")),
    Kind(
        row="comments before the header",
        write=lambda: "# made by\n# us\n" + text(),
        notices=("2 lines of comments",),
    ),
    Kind(
        row="a line sep=;",
        write=lambda: "sep=;\n" + text(sep=";"),
        notices=("separated by semicolons",),
    ),
    Kind(
        row="no header",
        write=_lines(lambda lines: lines[1:]),
        fault="These look like values: the first line must name the columns",
    ),
    Kind(row="a header alone", write=_lines(lambda lines: lines[:1]), fault="there are no rows"),
    Kind(row="an empty file", write=lambda: "", fault="the file is empty"),
    Kind(
        row="a line with too many fields",
        write=_lines(lambda lines: [*lines[:5], lines[5] + ",9,9", *lines[6:]]),
        fault="line 6 has 6 fields, the header has 4",
    ),
    Kind(
        row="two columns of one name",
        write=_lines(lambda lines: ["age,age,town,bought", *lines[1:]]),
        inputs=("age", "age.1", "town"),
        notices=("2 columns are called 'age'",),
    ),
    Kind(
        row="two names that differ in spaces",
        write=_lines(lambda lines: ["age, age,town,bought", *lines[1:]]),
        inputs=("age", "age.1", "town"),
        notices=("2 columns are called 'age'",),
    ),
    Kind(
        row="a name in front of each row, as R writes it",
        write=_lines(lambda lines: [lines[0], *(f"r{i},{ln}" for i, ln in enumerate(lines[1:]))]),
        notices=("the first field is taken for the name", "'Unnamed: 0' holds 60 different texts"),
    ),
    Kind(
        row="a separator at the end of each row",
        write=_lines(lambda lines: [lines[0], *(f"{line}," for line in lines[1:])]),
        notices=("'Unnamed: 4' is empty: left out",),
    ),
    Kind(
        row="a first row with too many fields",
        write=_lines(lambda lines: [lines[0], lines[1] + ",9", *lines[2:]]),
        fault="line 2 has 5 fields, the header has 4",
    ),
    Kind(
        row="two columns of the target's name",
        write=_lines(
            lambda lines: [
                "age,income,town,bought,bought",
                *(f"{line},{line.rpartition(',')[2]}" for line in lines[1:]),
            ]
        ),
        fault="2 columns are called 'bought', the target",
    ),
    Kind(
        row="the target under another name",
        write=lambda: text(frame(copy=np.where(BOUGHT, "yes", "no"))),
        fault="column 'copy' tells the target: each of its values goes with one of 'bought'",
    ),
    Kind(
        row="the target in another unit",
        write=lambda: text(frame(cents=INCOME * 100)),
        task="regression",
        target="income",
        fault="column 'cents' tells the target: a straight line leads from it to 'income'",
    ),
    Kind(
        row="an index",
        write=lambda: frame().to_csv(),
        notices=("'Unnamed: 0' numbers the rows: left out",),
    ),
    Kind(
        row="a shuffled index",
        write=lambda: frame().sample(frac=1, random_state=0).to_csv(),
        notices=("'Unnamed: 0' numbers the rows, in another order: left out",),
    ),
    Kind(
        row="numbers of customers",
        write=lambda: text(frame(customer_id=RNG.permutation(10**6)[:ROWS])),
        notices=("'customer_id' holds another whole number in every row",),
    ),
    Kind(
        row="numbers above 2⁵³",
        write=lambda: text(frame(big=9_007_199_254_740_993 + np.arange(ROWS))),
        notices=("'big' numbers the rows: left out",),
    ),
    Kind(
        row="UUIDs",
        write=lambda: text(frame(key=[f"{v:032x}" for v in RNG.integers(0, 2**60, ROWS)])),
        notices=("'key' holds 60 different texts, more than 50: left out",),
    ),
    Kind(
        row="zip codes with leading zeros",
        write=lambda: text(frame(area=[f"0{v}100" for v in AGE % 7])),
        inputs=(*PLAIN, "area"),
        notices=("'area' holds codes with leading zeros: read as texts",),
    ),
    Kind(
        row="zip codes with leading zeros and empty cells",
        write=lambda: text(frame(area=[f"0{v % 7}100" if v % 2 else None for v in AGE])),
        inputs=(*PLAIN, "area"),
        notices=("'area' holds codes with leading zeros: read as texts",),
    ),
    Kind(
        row="zip codes without leading zeros",
        write=lambda: text(frame(zip=50_000 + AGE % 9)),
        inputs=(*PLAIN, "zip"),
        notices=("'zip' is read as a quantity, though its name",),
    ),
    Kind(
        row="truth values and words for them",
        write=lambda: text(frame(a=AGE % 2 == 0, b=np.where(AGE % 3, "yes", "no"))),
        inputs=(*PLAIN, "a", "b"),
    ),
    Kind(
        row="an empty column",
        write=lambda: text(frame(x=np.nan)),
        notices=("'x' is empty: left out",),
    ),
    Kind(
        row="a constant column",
        write=lambda: text(frame(x=1)),
        notices=("'x' holds nothing but '1': left out",),
    ),
    Kind(
        row="infinite numbers",
        write=lambda: text(frame(x=np.where(AGE % 2, np.inf, 1.0))),
        fault="column 'x' holds",
    ),
    Kind(
        row="numbers up to 1e300",
        write=lambda: text(frame(x=10.0 ** np.linspace(0, 300, ROWS))),
        fault="column 'x' holds values up to 1e+300, more than a network's numbers can be",
    ),
    Kind(
        row="copies of rows",
        write=lambda: text(pd.concat([frame()] * 3)),
        notices=("120 of 180 rows are copies of others",),
    ),
    Kind(
        row="a target of words",
        write=lambda: text(frame().assign(bought=np.where(BOUGHT, "yes", "None"))),
    ),
    Kind(
        row="a target with empty cells",
        write=lambda: text(frame().assign(bought=np.where(AGE[3] == AGE, np.nan, BOUGHT))),
        fault="target 'bought' has",
    ),
    Kind(
        row="a target of numbers with a unit",
        write=_money("{:.1f} EUR"),
        task="regression",
        target="income",
        inputs=("age", "town", "bought"),
        notices=("target 'income' read as numbers",),
    ),
    Kind(
        row="a target of -1 and 1",
        write=lambda: text(frame().assign(bought=2 * BOUGHT - 1)),
    ),
    Kind(
        row="ratings from 1 to 5",
        write=lambda: text(frame().assign(bought=1 + AGE % 5)),
        task="multiclass",
    ),
    Kind(
        row="a constant target",
        write=lambda: text(frame().assign(bought=1)),
        fault="target 'bought' is constant",
    ),
)
