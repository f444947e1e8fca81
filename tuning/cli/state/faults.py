"""Everything that `tuning doctor` looks for in a state folder; nothing is changed by looking."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tuning.cli.state.fault import FIX, Fault, Mend
from tuning.cli.state.leases import faults_of_leases
from tuning.cli.state.searches import faults_of_searches
from tuning.cli.state.stores import faults_of_stores
from tuning.storage.leftovers import leftovers, sweep

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def faults_of(home: Path, sync: Mend) -> Iterator[Fault]:
    """Yield what is wrong with a state folder, in the order in which it is best mended.

    Args:
        home: The state folder; may be missing, then nothing is wrong.
        sync: Writes MLflow and Optuna's storage from the ledger.
    """
    if home.is_dir():
        yield from _faults_of_modes(home)
        yield from _faults_of_leftovers(home)
        yield from faults_of_searches(home, sync)
        yield from faults_of_stores(home, sync)
    yield from faults_of_leases()


def _faults_of_modes(home: Path) -> Iterator[Fault]:
    wrong = [path for path in _everything(home) if _has_wrong_mode(path)]
    if not wrong:
        return

    def mend() -> str:
        for path in wrong:
            path.chmod(0o700 if path.is_dir() else 0o600)
        return f"{len(wrong)} files and folders are yours alone now: {wrong[0]}"

    yield Fault(
        name="modes",
        found=f"{len(wrong)} files or folders can be changed by others, or not be read by you: "
        f"{wrong[0]}",
        advice=f"{FIX} gives them mode 700 and 600",
        mend=mend,
    )


def _everything(home: Path) -> Iterator[Path]:
    """Yield a state folder and all in it, but no links."""
    yield home
    for parent, folders, files in os.walk(home):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink():
                yield path


def _has_wrong_mode(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # a search that runs has just renamed it
        return False
    needed = stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR
    return bool(mode & _OTHERS_WRITE) or mode & needed != needed


def _faults_of_leftovers(home: Path) -> Iterator[Fault]:
    count = sum(1 for _ in leftovers(home))
    if count:
        yield Fault(
            name="leftovers",
            found=f"{count} files that killed processes were writing",
            advice=f"{FIX} deletes them; so does the next run of their search",
            mend=lambda: f"{sweep(home)} files that killed processes were writing are deleted",
        )
