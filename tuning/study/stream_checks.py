"""What a study cannot ask of a `Stream`, whose rows come once from beginning to end."""

from __future__ import annotations

from collections.abc import Iterator

from tuning.data.arrays import leaves
from tuning.data.dataset import Dataset
from tuning.data.stream_array import StreamArray
from tuning.errors import StudyError
from tuning.study.engine_spec import engine_spec
from tuning.study.study import Study


def check_stream(study: Study, dataset: Dataset) -> None:
    """Raise `StudyError` with all that does not go with the data, where they are a stream."""
    faults = list(_faults(study, dataset))
    if faults:
        raise StudyError(faults, where=f"study '{study.name}'")


def _faults(study: Study, dataset: Dataset) -> Iterator[str]:
    X = leaves(dataset.X)[0]
    if not isinstance(X, StreamArray):
        return

    if study.cv is not None:
        yield (
            "a Stream has no folds: its rows cannot be chosen; leave cv out, trials are judged on "
            "its validation part"
        )
    if engine_spec(study.engine).one_data_set:  # it takes and cuts the arrays
        yield (
            f"engine '{study.engine}' cuts an array in memory, a Stream is none; use an engine of "
            "Optuna's or KerasTuner's"
        )
    train = X.parts[0].source
    if "batch_size" in study.space and train.fixes_batches:
        yield (
            "batch_size is in the space, but the training stream comes in batches already; give a "
            "function that takes batch_size, or take it out of the space"
        )
