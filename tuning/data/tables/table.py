"""`Table`: a user's own table, CSV or Parquet, given to a study in the place of a data function."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuning.data.dataset import Dataset, Task
from tuning.data.tables.files import read_table, stem
from tuning.data.tables.frames import table_dataset
from tuning.data.tables.options import Notices, TableOptions


@dataclass(frozen=True)
class Table(TableOptions):
    """A table by its path.

    `data=Table("titanic.csv", target="survived", task="binary", drop=["name"])`.

    Attributes:
        path: A file of one of `SUFFIXES`, with a header.
        target: The column to be predicted.
        task: regression, binary or multiclass.
    """

    path: str
    target: str
    task: Task

    def __call__(self) -> Dataset:
        """Read it.

        Raises:
            StudyError: Every fault of the file and its columns.
        """
        path = Path(self.path)
        notices = Notices()
        frame = read_table(path, self, notices)
        return table_dataset(
            frame,
            self.target,
            self.task,
            name=stem(self.path),
            source=path.name,
            options=self,
            notices=notices,
        )
