"""`PlanRecord`: where the trials of a search run, and the timings that say so.

A resumed search begins with them and measures nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from tuning.ledger.records import read_record
from tuning.schema import SCHEMA, Json, JsonObject, check_schema

_MODES = ("cpu", "gpu", "both")


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """What was measured of one kind of structure.

    Attributes:
        structure: Its choices that are no sizes, in words; "" where there are none.
        n_cpu, n_gpu: Timings on cores and on GPUs.
        cpu_s, gpu_s: Median seconds of an epoch; None: not timed there.
    """

    structure: str
    n_cpu: int
    n_gpu: int
    cpu_s: float | None
    gpu_s: float | None

    @property
    def on_cpu(self) -> str:
        """An epoch on a core, in words: `0.31 s (4)`, timed four times."""
        return _timed(self.cpu_s, self.n_cpu)

    @property
    def on_gpu(self) -> str:
        """An epoch on a GPU, in words."""
        return _timed(self.gpu_s, self.n_gpu)

    @property
    def words(self) -> str:
        """The row as a line."""
        structure = self.structure or "all networks"
        return f"{structure}: an epoch {self.on_cpu} on a core, {self.on_gpu} on a GPU"


@dataclass(frozen=True, kw_only=True)
class KeptTiming:
    """What one trial has cost; see `executors.placement.model.Timing`.

    Attributes:
        kind: "cpu" or "gpu".
        params: Of the trial, as JSON has them.
        epoch_s, setup_s: Seconds of an epoch, and before the first; None: not known.
        noise: Standard deviation of the logarithm of `epoch_s`.
    """

    kind: str
    params: Json
    epoch_s: float
    setup_s: float | None
    noise: float


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """The plan.

    Attributes:
        mode: "cpu" or "gpu": one kind of slots is used; "both".
        gain: Trials that are faster on a GPU by more than this factor belong there; None: all of
            one kind do.
        words: The plan in a sentence.
        rows: What was measured, by kind of structure.
        timings: The latest ones.
        decided_at: Unix seconds.
        box: The GPUs and the number of cores that it is of; "" in files of earlier releases.
    """

    FILE: ClassVar[str] = "plan.json"

    mode: str
    gain: float | None
    words: str
    rows: tuple[PlanRow, ...] = ()
    timings: tuple[KeptTiming, ...] = ()
    decided_at: float = 0.0
    box: str = ""

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "mode": self.mode,
            "gain": self.gain,
            "words": self.words,
            "rows": [asdict(row) for row in self.rows],
            "timings": [{**asdict(each), "params": dict(each.params)} for each in self.timings],
            "decided_at": self.decided_at,
            "box": self.box,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        check_schema(stored, cls.FILE)
        if stored["mode"] not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(_MODES)}, not {stored['mode']!r}")
        return cls(
            mode=stored["mode"],
            gain=stored["gain"],
            words=stored["words"],
            rows=tuple(PlanRow(**row) for row in _objects(stored["rows"])),
            timings=tuple(KeptTiming(**each) for each in _objects(stored["timings"])),
            decided_at=stored["decided_at"],
            box=stored.get("box", ""),
        )


def read_plan(folder: Path) -> PlanRecord | None:
    """Return the plan of a search; None where there is none, or its file is damaged."""
    return read_record(PlanRecord, folder / PlanRecord.FILE)


def _timed(seconds: float | None, n: int) -> str:
    return "not timed" if seconds is None else f"{seconds:.3g} s ({n})"


def _objects(stored: Any) -> Sequence[Json]:
    if not isinstance(stored, list) or not all(isinstance(each, dict) for each in stored):
        raise TypeError("a list of objects is expected")
    return stored
