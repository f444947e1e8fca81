"""What a study cannot ask of a `Stream`, whose rows come once from beginning to end."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from tuning.data.arrays import leaves, named
from tuning.data.dataset import Dataset, answer_axes, task_of
from tuning.data.kinds.stream_array import StreamArray


def stream_faults(
    dataset: Dataset,
    *,
    searched: Container[str],
    has_folds: bool,
    weighs_classes: bool,
    cutting_engine: str,
) -> Iterator[str]:
    """Yield what does not go with a stream; nothing where the data are no stream.

    Args:
        dataset: Of the study.
        searched: Names in its space.
        has_folds: Whether trials are cross-validated.
        weighs_classes: Whether the study, or its space, has class weights.
        cutting_engine: The engine, where it cuts the arrays itself; else "".
    """
    X = leaves(dataset.X)[0]
    if not isinstance(X, StreamArray):
        return

    if has_folds:
        yield (
            "a Stream has no folds: its rows cannot be chosen; leave cv out, trials are judged on "
            "its validation part"
        )
    if cutting_engine:
        yield (
            f"engine '{cutting_engine}' cuts an array in memory, a Stream is none; use an engine "
            "of Optuna's or KerasTuner's"
        )
    if weighs_classes and _has_many_answers(dataset):
        yield (
            "class_weight weighs the rows of a Stream, whose rows have one answer of one output; "
            "these have more: let its batches be (X, y, weight)"
        )
    if "batch_size" in searched and X.parts[0].source.fixes_batches:
        yield (
            "batch_size is in the space, but the training stream comes in batches already; give a "
            "function that takes batch_size, or take it out of the space"
        )


def _has_many_answers(dataset: Dataset) -> bool:
    if isinstance(dataset.y, Mapping):
        return True
    return any(answer_axes(y, task_of(dataset.task, name)) for name, y in named(dataset.y))
