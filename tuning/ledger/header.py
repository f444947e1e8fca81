"""The header of a search that begins: where it comes from and what it runs on."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version

from tuning.ledger.records import SearchHeader
from tuning.study.info import StudyInfo
from tuning.trial import Params

_LIBRARIES = (
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "numpy",
    "scikit-learn",
    "optuna",
    "keras-tuner",
    "scikeras",
    "mlflow",
)

# What training comes from, whatever the engine.
_OF_FIGURES = ("tensorflow", "tensorflow-cpu", "keras", "numpy")


def search_header(study: StudyInfo, variant: Params) -> SearchHeader:
    """Return the header of a search that begins now.

    Args:
        study: What is searched.
        variant: What the command line changed of it.
    """
    return SearchHeader(
        study=study.name,
        engine=study.engine,
        objective=study.objective,
        objectives=study.objectives,
        versions=(dict(study.definition),),
        pruner=study.pruner,
        spaces_json=(study.space.to_json(),),
        variant=dict(variant),
        study_hash=study.hash,
        data=study.data,
        seed=study.seed,
        trials=study.trials,
        study_file=study.study_file,
        git_commit=git_commit(),
        versions_of=versions_now(),
    )


def versions_now() -> dict[str, str]:
    """Return the libraries that are installed of those that a search depends on."""
    versions = {name: _version(name) for name in _LIBRARIES}
    return {name: installed for name, installed in versions.items() if installed}


def changed_libraries(known: SearchHeader, now: SearchHeader) -> str:
    """Return a notice of libraries that are other ones than when a search was begun; "": none.

    Only those that figures or proposals come from. The search goes on: its trials stay as they
    are, and replaying them shows whether the engine still proposes the same.
    """
    changes = []
    for name in (*_OF_FIGURES, *_engine_library(now.engine)):
        before = known.versions_of.get(name)
        current = now.versions_of.get(name)
        if before and current and before != current:
            changes.append(f"{name} {before}, now {current}")
    if not changes:
        return ""
    return (
        f"this search was begun with {'; '.join(changes)}: trials of before and after may differ "
        "in more than their parameters; --fresh trains all with the same"
    )


def _engine_library(engine: str) -> tuple[str, ...]:
    """Return the library that an engine is of, by the first word of its name."""
    family, _, _ = engine.partition(":")
    if family in ("optuna", "keras-tuner"):
        return (family,)
    return ("scikit-learn",) if family.endswith("searchcv") else ()


def git_commit() -> str:
    """Return the commit of the current folder; "" outside a repository or without git."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
