"""What has to be the same on every node of a cluster, and a sentence for what is not."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("tuning", "ray", "tensorflow", "keras")
"""Results depend on them, and so does what one process understands of another."""
_MISSING = "none"


@dataclass(frozen=True)
class Versions:
    """What a Python has.

    Attributes:
        python: `3.11`; what is pickled by one is not always read by another.
        packages: By name; "none" where one is not installed.
    """

    python: str
    packages: dict[str, str]


def versions_here() -> Versions:
    """Return this interpreter's; nothing is imported for it."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Versions(python, {name: _version_of(name) for name in PACKAGES})


def version_faults(node: str, theirs: Versions, ours: Versions) -> list[str]:
    """Return what is another on a node than here, each with both versions and what would help.

    Args:
        node: Its address.
        theirs: What the node has.
        ours: What the driver has.
    """
    faults = []
    if theirs.python != ours.python:
        faults.append(
            f"node {node} has Python {theirs.python}, here it is {ours.python}; start Ray there "
            f"with Python {ours.python}"
        )
    for name, here in ours.packages.items():
        there = theirs.packages.get(name, _MISSING)
        if there == here:
            continue
        if here == _MISSING:
            faults.append(f"node {node} has {name} {there}, here there is none; install it here")
        else:
            has = f"has {name} {there}" if there != _MISSING else f"has no {name}"
            faults.append(
                f"node {node} {has}, here it is {here}; run there: "
                f"python -m pip install '{name}=={here}'"
            )
    return faults


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return _MISSING
