"""`load_source`: a study from what a driver names it by; it imports Keras where the study does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cloudpickle

from tuning.errors import StudyError
from tuning.study.discovered_space import know
from tuning.study.info import DISCOVERY
from tuning.study.study import Study, load_study


def load_source(source: str | bytes, overrides: Mapping[str, Any]) -> Study:
    """Return the study meant, with the command line's changes.

    Args:
        source: The path of a study file, or a pickled study.
        overrides: Changes of its fields; see `StudyInfo.for_workers`.

    Raises:
        StudyError: The file or the changes are wrong; all faults at once.
    """
    overrides = dict(overrides)
    discovery = overrides.pop(DISCOVERY, "")
    if discovery:
        know(discovery)
    study = load_study(source) if isinstance(source, str) else cloudpickle.loads(source)
    if not isinstance(study, Study):
        raise StudyError(f"expected a Study, got {study!r}")
    study = study.with_(**overrides) if overrides else study
    study.check()
    return study
