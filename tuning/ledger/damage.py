"""What is done about a damaged file of a search: readers leave it out, its owner sets it aside."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from tuning.errors import DamagedFileError
from tuning.storage.aside import set_error_aside

OnDamage: TypeAlias = Callable[[DamagedFileError], None]
"""Told of a file that is not used."""

_LOG = logging.getLogger(__name__)
_SPEC = "spec.json"


def leave_out(error: DamagedFileError) -> None:
    """Say once in the log that a file is left out; it may be another process's to mend."""
    _say_once(f"left out: {error}")


# A viewer polls the same files again and again.
@lru_cache(maxsize=1024)
def _say_once(text: str) -> None:
    _LOG.warning("%s", text)


class SetAside:
    """Sets damaged files aside; only for the process that holds the search's lock.

    Args:
        notice: Told in words what was done.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice

    def __call__(self, error: DamagedFileError) -> None:
        """Set the file of an error aside.

        With a result that is another ask's goes all that lies beside it: checkpoints, folds.
        """
        if error.foreign and error.path.name == "result.json":
            aside = set_trial_aside(error.path.parent)
            self._notice(
                f"{error.path} is not what belongs there ({error.fault}): it and what lies beside "
                f"it are set aside in {aside.name}"
            )
        else:
            self._notice(set_error_aside(error))


def set_trial_aside(folder: Path, *, with_spec: bool = False) -> Path:
    """Move what lies in a trial's folder into one inside it, `foreign-1` or the next that is free.

    Args:
        folder: `trials/00007`.
        with_spec: The ask too.

    Returns:
        Where all of it is.
    """
    names = (folder / f"foreign-{i}" for i in itertools.count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    moved = [path for path in folder.iterdir() if _belongs_to_trial(path, with_spec)]
    aside.mkdir(mode=0o700)
    for path in moved:
        path.rename(aside / path.name)
    return aside


def holds_more(folder: Path) -> bool:
    """Whether anything of a trial lies in its folder."""
    try:
        return any(_belongs_to_trial(path, with_spec=True) for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _belongs_to_trial(path: Path, with_spec: bool) -> bool:
    # What was set aside before stays where it is, and what a killed process was writing.
    if path.name.startswith(("foreign-", ".")) or ".damaged-" in path.name:
        return False
    return with_spec or path.name != _SPEC
