"""`Recording`: points of a space trained fully once, on several seeds, as a table and a manifest.

The table is a parquet file with a row for each epoch of each fit, and one for epoch 0 so that a fit
without epochs is there too: `point`, `seed` (which of the manifest's), `fold`, `epoch`, `params`
(JSON), `status`, `best_epoch`, `overhead_s` (seconds of the trial that were not training),
`rss_mb`, `seconds` (since the fit began) and the curve's metrics.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tuning.data.dataset import Array
from tuning.errors import StudyError
from tuning.schema import refuse_damaged
from tuning.simulation.manifest import FORMAT, RecordingManifest
from tuning.space.space import Space
from tuning.storage.durable import read_json, write_bytes, write_json
from tuning.study.objective import Objective
from tuning.trial import Params, Status, TrialResult

SHIPPED = Path(__file__).with_name("recordings")
_KEYS = (
    "point",
    "seed",
    "fold",
    "epoch",
    "params",
    "status",
    "best_epoch",
    "overhead_s",
    "rss_mb",
    "seconds",
)

TrainedPoints: TypeAlias = Sequence[tuple[Params, TrialResult]]
"""The points of one training seed, in order, and how each ended."""

_Columns: TypeAlias = Mapping[str, Array]
_Row: TypeAlias = Mapping[str, Any]  # one value for each column


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """Arrays are `(points, seeds, folds, epochs)`, `(points, seeds, folds)` or `(points, seeds)`.

    Attributes:
        manifest: What was recorded, with what, when.
        points: Parameters.
        values: The objective after each epoch; NaN where nothing was trained.
        seconds: From the beginning of the fit to the end of each epoch; NaN likewise.
        lengths: Epochs trained.
        best: The epoch (from 1) whose weights were kept.
        status: As text.
        overhead_s: Seconds of a trial besides its training: building, compiling, writing.
        rss_mb: The worker's memory.
    """

    manifest: RecordingManifest
    points: tuple[Params, ...]
    values: Array
    seconds: Array
    lengths: Array
    best: Array
    status: Array
    overhead_s: Array
    rss_mb: Array

    @property
    def space(self) -> Space:
        """What the points are of."""
        return self.manifest.space

    @property
    def objective(self) -> Objective:
        """What the values are."""
        return self.manifest.objective

    @property
    def seconds_range(self) -> tuple[float, float]:
        """The shortest and the longest trial."""
        fits = np.nanmax(np.nan_to_num(self.seconds), axis=-1)
        trials = fits.sum(axis=-1) + self.overhead_s
        return float(trials.min()), float(trials.max())


def write_recording(
    path: Path, manifest: RecordingManifest, trials: Sequence[TrainedPoints]
) -> Path:
    """Write `path` with the suffixes .parquet and .json, return the manifest's path.

    Args:
        path: Any suffix is replaced.
        manifest: Without what is known of the table only when it is written.
        trials: Of each training seed, the same points in the same order.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for index, points in enumerate(trials) for row in _rows(index, points)]
    metrics = {name for row in rows for name in row if name not in _KEYS}
    columns = [*_KEYS, *sorted(metrics)]
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    stored = io.BytesIO()
    pq.write_table(table, stored, compression="zstd")

    parquet = path.with_suffix(".parquet")
    write_bytes(parquet, stored.getvalue())
    whole = replace(
        manifest,
        points=len(trials[0]),
        rows=len(rows),
        parquet=parquet.name,
        sha256=hashlib.sha256(stored.getvalue()).hexdigest(),
    )
    write_json(path.with_suffix(".json"), whole.to_json())
    return path.with_suffix(".json")


def _rows(index: int, points: TrainedPoints) -> Iterator[_Row]:
    """Yield the table's rows of one training seed."""
    for point, (params, result) in enumerate(points):
        training_s = sum(fold.seconds for fold in result.folds)
        trial = {
            "point": point,
            "seed": index,
            "params": json.dumps(dict(params)),
            "status": result.status.value,
            "overhead_s": max(0.0, result.seconds - training_s),
            "rss_mb": result.rss_mb,
        }
        if not result.folds:
            yield {**trial, "fold": 0, "epoch": 0, "best_epoch": 0, "seconds": 0.0}
        for fold in result.folds:
            fit = {**trial, "fold": fold.fold, "best_epoch": fold.best_epoch}
            yield {**fit, "epoch": 0, "seconds": 0.0}
            for row in fold.curve:
                yield {**fit, **row, "epoch": int(row["epoch"])}


def find_recording(name_or_path: str, home: Path) -> Path | None:
    """Return a recording's manifest, or None where there is none.

    Args:
        name_or_path: A path, or the name of one in the state folder or of one that ships.
        home: The state folder.
    """
    path = Path(name_or_path)
    if path.suffix in (".json", ".parquet"):
        return path.with_suffix(".json")
    for folder in (home / "recordings", SHIPPED):
        manifest = folder / f"{name_or_path}.json"
        if manifest.is_file():
            return manifest
    return None


def load_recording(path: Path) -> Recording:
    """Read a recording by the path of its manifest.

    Raises:
        StudyError: A file is missing, damaged, or of another format; says which and what would
            work.
        NewerFileError: A later release wrote it.
    """
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise StudyError(
            f"no recording of format {FORMAT}; make one with: tuning record STUDY", where=str(path)
        )
    manifest = RecordingManifest.from_json(stored, str(path))

    parquet = path.parent / manifest.parquet
    # Not `Path.is_file`, which raises where a name is too long.
    if parquet.parent != path.parent or not os.path.isfile(parquet):
        raise StudyError(
            f"its table {manifest.parquet:.100} is not beside it; put it back", where=str(path)
        )
    if parquet != path.with_suffix(".parquet"):
        raise StudyError(
            f"it is the manifest of {parquet.name}: name it {parquet.with_suffix('.json').name} "
            "again, or put back the one that belongs here",
            where=str(path),
        )
    table = parquet.read_bytes()
    digest = hashlib.sha256(table).hexdigest()
    if digest != manifest.sha256:
        raise StudyError(
            f"its sha256 is {digest}, the manifest has {manifest.sha256}: it was changed or cut; "
            "record it anew",
            where=str(parquet),
        )
    return _recording(manifest, _columns(manifest, table, parquet), parquet)


class _Shape(NamedTuple):
    """How many there are of each."""

    points: int
    seeds: int
    folds: int
    epochs: int

    @classmethod
    def of(cls, manifest: RecordingManifest) -> _Shape:
        return cls(manifest.points, len(manifest.seeds), manifest.folds, manifest.epochs)


def _columns(manifest: RecordingManifest, stored: bytes, path: Path) -> _Columns:
    """Return the table's columns, which fit the manifest.

    Raises:
        StudyError: They do not; says in what.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(stored))
    names = (*_KEYS, manifest.objective.metric)
    faults = [f"the column '{name}' is missing" for name in names if name not in table.column_names]
    if not faults and table.num_rows != manifest.rows:
        faults.append(f"there are {table.num_rows} rows, the manifest has {manifest.rows}")
    if faults:
        raise StudyError(faults, where=str(path))

    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in names}
    shape = _Shape.of(manifest)
    highest = {
        "point": shape.points - 1,
        "seed": shape.seeds - 1,
        "fold": shape.folds - 1,
        "epoch": shape.epochs,
    }
    for name, high in highest.items():
        if not _within(columns[name], 0, high):
            faults.append(f"'{name}' is not within 0 … {high}")
    n_points = len(np.unique(columns["point"]))
    if n_points != shape.points:
        faults.append(f"there are {n_points} points, the manifest has {shape.points}")
    if faults:
        raise StudyError(faults, where=str(path))
    return columns


def _within(column: Array, low: int, high: int) -> bool:
    return bool(len(column)) and int(column.min()) >= low and int(column.max()) <= high


def _recording(manifest: RecordingManifest, columns: _Columns, parquet: Path) -> Recording:
    """Return the columns as arrays by point, seed, fold and epoch."""
    shape = _Shape.of(manifest)
    trial = (columns["point"], columns["seed"])
    fit = (*trial, columns["fold"])

    # Rows of epoch 0 are there for fits that have no other.
    trained = columns["epoch"] > 0
    epoch = tuple(key[trained] for key in (*fit, columns["epoch"] - 1))
    values = np.full(shape, np.nan)
    values[epoch] = columns[manifest.objective.metric][trained].astype(float)
    seconds = np.full(shape, np.nan)
    seconds[epoch] = columns["seconds"][trained]

    lengths = np.zeros(shape[:3], int)
    np.maximum.at(lengths, fit, columns["epoch"])
    best = np.zeros(shape[:3], int)
    best[fit] = columns["best_epoch"]

    status = np.full(shape[:2], Status.FAILED.value, dtype=object)
    status[trial] = columns["status"]
    overhead_s = np.zeros(shape[:2])
    overhead_s[trial] = columns["overhead_s"]
    rss_mb = np.zeros(shape[:2])
    rss_mb[trial] = columns["rss_mb"]

    texts = dict(zip(columns["point"].tolist(), columns["params"].tolist(), strict=True))
    space = manifest.space
    with refuse_damaged(parquet):
        points = tuple(space.decode(json.loads(texts[point])) for point in range(shape.points))
    return Recording(
        manifest=manifest,
        points=points,
        values=values,
        seconds=seconds,
        lengths=lengths,
        best=best,
        status=status,
        overhead_s=overhead_s,
        rss_mb=rss_mb,
    )
