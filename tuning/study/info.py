"""`StudyInfo`: a study as the driver knows it, without its functions, so that the driver needs no
TensorFlow.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuning.data.dataset import Dataset
from tuning.study.names import SCIKIT_ENGINES
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.study.study import Study

_UNSWAYED = (
    *SCIKIT_ENGINES,
    "optuna:random",
    "optuna:qmc",
    "optuna:grid",
    "keras-tuner:random",
    "keras-tuner:grid",
)


@dataclass(frozen=True, kw_only=True)
class StudyInfo:
    """What the engine process tells the driver of a study; every field is picklable and plain.

    Attributes:
        definition: `Study.definition()` with the data's digest: what a resumed search must agree
            with.
        hash: Over the definition.
        study_file: Where the study was loaded from; "" for one made in a notebook.
        doc: First line of the study file's docstring.
        data: name, task, digest, rows, train, validation, test (row counts), features, classes,
            unit, source, input_shape, majority (share of the largest class; 0 for regression).
        notices: What the engine wants the user to know.
    """

    name: str
    engine: str
    pruner: str
    objective: Objective
    space: Space
    trials: int | None
    epochs: int
    batch_size: int
    patience: int | None
    cv: int | None
    seed: int
    top_k: int
    seeds: int
    timeout: float | None
    trial_timeout: float | None
    no_progress_timeout: float
    attempts: int
    max_failures: int
    gpus_per_trial: int
    definition: Mapping[str, Any]
    hash: str
    study_file: str = ""
    doc: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def pinned(self) -> str:
        """What workers compare: they load study and data themselves, perhaps long after the search
        began.
        """
        return pin(self.hash, str(self.data.get("digest", "")))

    @property
    def open_per_slot(self) -> int:
        """Trials asked for at a time, a slot: one waits behind the running one, unless the engine
        learns from results.

        A slot is then never idle; an engine that learns is asked as late as can be.
        """
        return 2 if self.engine in _UNSWAYED else 1


def pin(study_hash: str, data_digest: str) -> str:
    """Return one word for a definition and its data."""
    return f"{study_hash}-{data_digest[:16]}"


def describe(
    study: Study,
    dataset: Dataset,
    sizes: Mapping[str, int],
    file: str = "",
    notices: tuple[str, ...] = (),
) -> StudyInfo:
    """Return the record of a study.

    Args:
        study: Checked.
        dataset: Its data, loaded.
        sizes: Rows of "train", "validation" and "test".
        file: Where it was loaded from.
        notices: Of its engine.
    """
    copied = {
        name: getattr(study, name)
        for name in StudyInfo.__dataclass_fields__
        if hasattr(study, name)
    }
    copied.pop("data")
    copied.pop("hash")
    return StudyInfo(
        **{
            **copied,
            "definition": {**study.definition(), "data_digest": dataset.digest},
            "hash": study.hash,
            "study_file": file,
            "doc": _doc(study),
            "data": {**_facts(dataset), **sizes},
            "notices": notices,
        }
    )


def _facts(dataset: Dataset) -> dict[str, Any]:
    classes = dataset.task in ("binary", "multiclass")
    counts = np.bincount(dataset.y.astype(int)) if classes else np.zeros(1)
    return {
        "name": dataset.name,
        "task": dataset.task,
        "digest": dataset.digest,
        "rows": len(dataset.y),
        "features": list(dataset.feature_names),
        "classes": list(dataset.classes),
        "unit": dataset.unit,
        "source": dataset.source,
        "input_shape": list(dataset.input_shape),
        "majority": float(counts.max() / counts.sum()) if classes else 0.0,
    }


def _doc(study: Study) -> str:
    builder = study.builder.func if isinstance(study.builder, functools.partial) else study.builder
    return (inspect.getdoc(sys.modules.get(builder.__module__)) or "").split("\n")[0]
