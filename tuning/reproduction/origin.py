"""What a training comes from, as its record says and as it is now: each difference in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tuning.ledger.header import git_commit, versions_now
from tuning.ledger.records import SearchHeader
from tuning.ledger.versions import differences

_OF_FIGURES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "scikit-learn")
_DATA = "data_digest"
_FUNCTIONS = {"builder": "the builder, or its file", "data": "the data function, or its file"}


def definition_of(header: SearchHeader, number: int) -> Mapping[str, Any]:
    """Return the definition that a trial was asked under."""
    versions = zip(header.begins, header.versions, strict=False)
    return [definition for begin, definition in versions if begin <= number][-1]


def changes(
    header: SearchHeader, definition: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what differs in data, study, code and versions.

    Args:
        header: Of the search.
        definition: That of the trial.
        now: As the study's file says today.
    """
    if not has_same_rows(definition, now):
        before, today = str(definition[_DATA]), str(now.get(_DATA, ""))
        yield f"data: other rows than then (digest {before[:16]}, now {today[:16]})"

    for name, called in _FUNCTIONS.items():
        before, today = str(definition.get(name, "")), str(now.get(name, ""))
        if before and before != today:
            yield f"code: {called} (fingerprint {before[:16]}, now {today[:16]})"

    known = {
        name: value
        for name, value in definition.items()
        if name in now and name not in (_DATA, *_FUNCTIONS)
    }
    for sentence in differences(known, {name: now[name] for name in known}):
        yield f"study: {sentence}"

    commit = git_commit()
    if header.git_commit and commit and commit != header.git_commit:
        yield f"code: commit {header.git_commit[:12]}, now {commit[:12]}"

    installed = versions_now()
    for name in _OF_FIGURES:
        version = header.versions_of.get(name)
        if version and version != installed.get(name):
            yield f"versions: {name} {version}, now {installed.get(name, 'not installed')}"


def has_same_rows(definition: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the data are those of then, as far as that is known."""
    before = definition.get(_DATA)
    return not before or before == now.get(_DATA)


def device_changes(before: str, now: str) -> Iterator[str]:
    """Yield how one slot differs from another in kind."""
    if before and now and kind_of(before) != kind_of(now):
        yield f"device: {before}, now {now}"


def kind_of(slot: str) -> str:
    """Return "cpu" or "gpu"."""
    return "cpu" if slot.startswith("cpu") else "gpu"
