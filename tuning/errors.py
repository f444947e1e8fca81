"""Every error this package raises on purpose.

TuningError                 exit code
├── StudyError          2   the study, the arguments or the builder are wrong; holds every fault
│   ├── BuilderError    2   a builder was called with an argument outside its range
│   ├── ChangedError    2   a search is resumed under another definition
│   └── NewerFileError  2   a file was written by a later release
├── MissingError        3   a device, data set or optional package that was asked for is not there
├── BusyError          75   somebody else holds what is needed; try again later
├── LostError          75   what the trials ran on is gone; the same command goes on
├── StorageError       75   the disk is full or a store is down; nothing was lost
│   └── DamagedFileError 75 a file of ours is there, and is not what we wrote
├── TrialError          –   one trial failed: it is told to the engine, the search goes on
└── SearchFailed        1   no trial completed, or too many failed in a row
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_MOST_OF_A_VALUE = 100
"""Characters of a wrong value that an error quotes."""


class TuningError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code = 1


class StudyError(TuningError):
    """The definition of a search is wrong. `faults` holds one sentence for each thing to fix."""

    exit_code = 2

    def __init__(self, faults: str | Sequence[str], *, where: str = "") -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        self.where = where
        if len(self.faults) == 1:
            text = self.faults[0]
        else:
            listed = "".join(f"\n  - {fault}" for fault in self.faults)
            text = f"{len(self.faults)} faults:{listed}"
        super().__init__(f"{where}: {text}" if where else text)

    # An exception is pickled with its text alone; those of workers must arrive with their faults.
    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.faults, self.where)


class BuilderError(StudyError, ValueError):
    """A builder argument is out of its range."""


class ChangedError(StudyError):
    """The study differs from the one its search was begun with; `faults` lists the differences."""


class NewerFileError(StudyError):
    """A file was written by a later release; it is left as it is."""


class MissingError(TuningError):
    """A device, data set or optional package that was asked for is not there."""

    exit_code = 3


class BusyError(TuningError):
    """Another process holds the search or the device."""

    exit_code = 75


class LostError(TuningError):
    """What the trials ran on is gone, as where a cluster has lost its head; nothing was lost."""

    exit_code = 75


class StorageError(TuningError):
    """The disk is full or a store cannot be reached."""

    exit_code = 75


class DamagedFileError(StorageError):
    """A file of ours is there, and does not hold what we write, or holds another thing's.

    Attributes:
        path: Of the file.
        fault: What is wrong with it, in words.
        foreign: It is whole, but of something else: of other parameters, another trial or study.
    """

    def __init__(self, path: Path, fault: str, *, foreign: bool = False) -> None:
        self.path = path
        self.fault = fault
        self.foreign = foreign
        state = "not what belongs here" if foreign else "damaged"
        super().__init__(f"{path} is {state} ({fault}); put it back from a copy")

    # As for StudyError: it crosses processes with all it says.
    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_damaged, (self.path, self.fault, self.foreign)


class TrialError(TuningError):
    """One trial cannot give a value."""


class SearchFailed(TuningError):
    """The search ended without a winner.

    Attributes:
        summary: What it found all the same, a `Summary`; None where it did not come that far.
    """

    summary: Any = None


def _rebuild_damaged(path: Path, fault: str, foreign: bool) -> DamagedFileError:
    return DamagedFileError(path, fault, foreign=foreign)


def _rebuild(kind: type[StudyError], faults: tuple[str, ...], where: str) -> StudyError:
    return kind(faults, where=where)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the nearest of `known`, or `""` where none is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def received(value: object) -> str:
    """Return what an error says it got: a short value as Python writes it, of a long one its type.

    A data set or a list of callbacks would fill pages, and an address in memory says nothing.
    """
    text = repr(value)
    if len(text) <= _MOST_OF_A_VALUE and "\n" not in text and " object at 0x" not in text:
        return text
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, at most 300 characters."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), "")[:300]
