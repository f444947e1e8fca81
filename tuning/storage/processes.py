"""Processes by number and name; apart from locks, because forkserver and warden start with it."""

from __future__ import annotations

import os

WRITER_NAME = "tuning-writer"
"""As `ps` shows the process that writes MLflow and Optuna's storage."""


def process_lives(pid: int) -> bool:
    """Whether there is a process of this number on this machine, whoever's."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True
