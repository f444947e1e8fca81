"""`Recording`: points of a space trained fully once, on several seeds, as a parquet file and a JSON
manifest.

The parquet has a row for each epoch of each fit, and one for epoch 0 so that a fit without epochs
is there too: `point`, `seed` (which of the manifest's), `fold`, `epoch`, `params` (JSON), `status`,
`best_epoch`, `overhead_s` (seconds of the trial that were not training), `rss_mb`, `seconds` (since
the fit began) and the curve's metrics.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data.dataset import Array
from tuning.errors import StudyError
from tuning.ledger.spaces import space_of
from tuning.storage.durable import read_json, write_bytes, write_json
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.trial import Status, TrialResult

FORMAT = 1
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


@dataclass(frozen=True, eq=False)
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

    manifest: Mapping[str, Any]
    points: tuple[Mapping[str, Any], ...]
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
        return space_of(self.manifest["definition"])

    @property
    def objective(self) -> Objective:
        """What the values are."""
        return Objective(**self.manifest["objective"])

    @property
    def seconds_range(self) -> tuple[float, float]:
        """The shortest and the longest trial."""
        lengths = np.nanmax(np.nan_to_num(self.seconds), axis=-1).sum(axis=-1) + self.overhead_s
        return float(lengths.min()), float(lengths.max())


def write_recording(
    path: Path,
    manifest: Mapping[str, Any],
    trials: Sequence[Sequence[tuple[Mapping[str, Any], TrialResult]]],
) -> Path:
    """Write `path` with the suffixes .parquet and .json, return the manifest's path.

    Args:
        path: Any suffix is replaced.
        manifest: `study`, `definition`, `objective`, `seeds` (training seeds), `epochs`,
            `patience`, `cv`, `data`, …
        trials: For each training seed, parameters and results, in the same order of points.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for index, results in enumerate(trials) for row in _rows(index, results)]
    names = [*_KEYS, *sorted({name for row in rows for name in row if name not in _KEYS})]
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    stored = io.BytesIO()
    pq.write_table(table, stored, compression="zstd")
    write_bytes(path.with_suffix(".parquet"), stored.getvalue())
    whole = {
        **manifest,
        "format": FORMAT,
        "points": len(trials[0]),
        "folds": manifest["cv"] or 1,
        "rows": len(rows),
        "parquet": path.with_suffix(".parquet").name,
        "sha256": hashlib.sha256(stored.getvalue()).hexdigest(),
    }
    write_json(path.with_suffix(".json"), whole)
    return path.with_suffix(".json")


def _rows(
    index: int, results: Sequence[tuple[Mapping[str, Any], TrialResult]]
) -> Iterator[dict[str, Any]]:
    for point, (params, result) in enumerate(results):
        text = json.dumps(dict(params))
        overhead = max(0.0, result.seconds - sum(fold.seconds for fold in result.folds))
        common = {
            "point": point,
            "seed": index,
            "params": text,
            "status": result.status.value,
            "overhead_s": overhead,
            "rss_mb": result.rss_mb,
        }
        if not result.folds:
            yield {**common, "fold": 0, "epoch": 0, "best_epoch": 0, "seconds": 0.0}
        for fold in result.folds:
            mine = {**common, "fold": fold.fold, "best_epoch": fold.best_epoch}
            yield {**mine, "epoch": 0, "seconds": 0.0}
            yield from ({**mine, **row, "epoch": int(row["epoch"])} for row in fold.curve)


def find_recording(name_or_path: str, home: Path) -> Path | None:
    """Return the manifest of a recording: a path, one in the state folder, or one that ships; None:
    there is none.
    """
    given = Path(name_or_path)
    if given.suffix in (".json", ".parquet"):
        return given.with_suffix(".json")
    places = (home / "recordings", SHIPPED)
    return next(
        (path for folder in places if (path := folder / f"{name_or_path}.json").is_file()), None
    )


def load_recording(manifest: Path) -> Recording:
    """Read a recording.

    Raises:
        StudyError: A file is missing, damaged, or of another format; says which and what would
            work.
    """
    told = read_json(manifest)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise StudyError(
            f"no recording of format {FORMAT}; make one with: tuning record STUDY",
            where=str(manifest),
        )
    parquet = manifest.parent / str(told["parquet"])
    if parquet.parent != manifest.parent or not parquet.is_file():
        raise StudyError(
            f"its table {told['parquet']} is not beside it; put it back", where=str(manifest)
        )
    stored = parquet.read_bytes()
    digest = hashlib.sha256(stored).hexdigest()
    if digest != told["sha256"]:
        raise StudyError(
            f"its sha256 is {digest}, the manifest has {told['sha256']}: it was changed or cut; record it anew",
            where=str(parquet),
        )
    return _parsed(told, stored, parquet)


def _parsed(told: Mapping[str, Any], stored: bytes, path: Path) -> Recording:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(stored))
    metric = told["objective"]["metric"]
    faults = [
        f"the column '{name}' is missing"
        for name in (*_KEYS, metric)
        if name not in table.column_names
    ]
    if not faults and table.num_rows != told["rows"]:
        faults.append(f"there are {table.num_rows} rows, the manifest has {told['rows']}")
    if faults:
        raise StudyError(faults, where=str(path))
    column = {name: table[name].to_numpy(zero_copy_only=False) for name in (*_KEYS, metric)}
    shape = (int(told["points"]), len(told["seeds"]), int(told["folds"]), int(told["epochs"]))
    limits = [("point", 0), ("seed", 1), ("fold", 2)]
    faults = [
        f"'{n}' is not within 0 … {shape[i] - 1}"
        for n, i in limits
        if not _within(column[n], 0, shape[i] - 1)
    ]
    if not _within(column["epoch"], 0, shape[3]):
        faults.append(f"'epoch' is not within 0 … {shape[3]}")
    if len(np.unique(column["point"])) != shape[0]:
        faults.append(
            f"there are {len(np.unique(column['point']))} points, the manifest has {shape[0]}"
        )
    if faults:
        raise StudyError(faults, where=str(path))
    return _filled(told, column, shape)


def _within(column: Array, low: int, high: int) -> bool:
    return bool(len(column)) and int(column.min()) >= low and int(column.max()) <= high


def _filled(
    told: Mapping[str, Any], column: Mapping[str, Array], shape: tuple[int, int, int, int]
) -> Recording:
    trial = (column["point"], column["seed"])
    fit = (*trial, column["fold"])
    trained = column["epoch"] > 0
    cell = tuple(key[trained] for key in (*fit, column["epoch"] - 1))
    values, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    values[cell] = column[told["objective"]["metric"]][trained].astype(float)
    seconds[cell] = column["seconds"][trained]
    lengths, best = np.zeros(shape[:3], int), np.zeros(shape[:3], int)
    np.maximum.at(lengths, fit, column["epoch"])
    best[fit] = column["best_epoch"]
    status = np.full(shape[:2], Status.FAILED.value, dtype=object)
    status[trial] = column["status"]
    overhead, rss = np.zeros(shape[:2]), np.zeros(shape[:2])
    overhead[trial], rss[trial] = column["overhead_s"], column["rss_mb"]
    texts = dict(zip(column["point"].tolist(), column["params"].tolist(), strict=True))
    space = space_of(told["definition"])
    points = tuple(space.decode(json.loads(texts[point])) for point in range(shape[0]))
    return Recording(told, points, values, seconds, lengths, best, status, overhead, rss)
