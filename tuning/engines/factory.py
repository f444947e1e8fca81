"""`make_engine`: the engine a study names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuning.engines.base import Engine
from tuning.study.names import KERAS_TUNER_ENGINES, OPTUNA_ENGINES
from tuning.study.study import Study

if TYPE_CHECKING:
    from tuning.data.parts import Parts


def make_engine(study: Study, parts: Callable[[], Parts]) -> Engine:
    """Return a fresh engine; the library it needs is imported now.

    Args:
        study: Checked.
        parts: Gives its data, which scikit-learn's search classes alone ask for.

    Raises:
        MissingError: The engine needs a package that is not installed.
        StudyError: The engine cannot search this space.
    """
    if study.space.positioned:
        from tuning.engines.positions import PositionEngine

        return PositionEngine(study, lambda inner: make_engine(inner, parts))
    if study.engine in OPTUNA_ENGINES:
        from tuning.engines.optuna import OptunaEngine

        return OptunaEngine(study)
    if study.engine in KERAS_TUNER_ENGINES:
        from tuning.engines.keras_tuner import KerasTunerEngine

        return KerasTunerEngine(study)
    if study.engine == "capacity":
        from tuning.engines.capacity import CapacityEngine

        return CapacityEngine(study)
    from tuning.engines.scikit import ScikitEngine

    return ScikitEngine(study, parts())
