"""Stamps: whether a file is still the one that was read, without reading it again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

from tuning import __version__

Stamp: TypeAlias = list[int]
"""Inode, size, and when content and entry were changed last, in nanoseconds."""

SETTLED_NS = 100_000_000
"""What was changed less than this before it was read may have changed again since, unseen: file
systems keep times no finer than a tick of the kernel's clock."""

_OF_A_SEARCH = ("search.json", "winner.json", "evaluation.json", "intervals.json")
_FOLDERS = ("artifacts", "finalists/*")
_OF_A_TRIAL = ("spec.json", "result.json")


def stamp(path: Path | str) -> Stamp | None:
    """Return the stamp of a file; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def is_settled(stamps: Iterable[Stamp | None], read_at_ns: int) -> bool:
    """Whether files have not changed since they were read, as far as their stamps can say.

    Args:
        stamps: Of the files, taken after they were read.
        read_at_ns: When the reading began, Unix nanoseconds.
    """
    return all(each is not None and max(each[2:]) < read_at_ns - SETTLED_NS for each in stamps)


def search_stamp(folder: Path, *others: Path) -> str:
    """Return one word for the files that tell how a search went; status and logs do not count.

    Args:
        folder: Of the search.
        others: Files that count besides.
    """
    paths = [folder / name for name in _OF_A_SEARCH]
    for pattern in _FOLDERS:
        paths += sorted(path for each in folder.glob(pattern) for path in _files_in(each))
    paths += others

    digest = blake2b(__version__.encode(), digest_size=16)
    for path in paths:
        digest.update(f"{path}{stamp(path)}".encode())
    for trial in numbered(folder / "trials"):
        for name in _OF_A_TRIAL:
            digest.update(f"{trial}{stamp(os.path.join(folder, 'trials', trial, name))}".encode())
    return digest.hexdigest()


def _files_in(path: Path) -> list[Path]:
    return [path, *path.iterdir()] if path.is_dir() else [path]


def numbered(folder: Path) -> list[str]:
    """Return the names of a search's trial folders, by number."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted((name for name in names if name.isdecimal()), key=int)
