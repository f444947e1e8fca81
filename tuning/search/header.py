"""What `search.json` says of a search besides its trials: where it comes from and what it ran on."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tuning.study.info import StudyInfo

_LIBRARIES = (
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "scikit-learn",
    "optuna",
    "keras-tuner",
    "scikeras",
    "mlflow",
)


def search_header(record: StudyInfo, variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header of a search that begins now.

    Args:
        record: The study.
        variant: What the command line changed of it.
    """
    return {
        "study": record.name,
        "engine": record.engine,
        "pruner": record.pruner,
        "variant": dict(variant),
        "definition": dict(record.definition),
        "study_hash": record.hash,
        "data": record.data.to_json(),
        "objective": {"metric": record.objective.metric, "direction": record.objective.direction},
        "seed": record.seed,
        "trials": record.trials,
        "study_file": record.study_file,
        "git_commit": git_commit(),
        "versions_of": {name: found for name in _LIBRARIES if (found := _version(name))},
    }


def git_commit() -> str:
    """Return the commit of the current folder; "" outside a repository, and where there is no git."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
