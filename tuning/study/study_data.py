"""The data of a study: its function called with some arguments, and what it returns split."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from tuning.data.dataset import Dataset
from tuning.data.folds import folds
from tuning.data.parts import Parts, split
from tuning.errors import StudyError
from tuning.storage.secrets import revealed
from tuning.study.builder_arguments import data_names, names_needed
from tuning.study.study import Study


def searched_arguments(study: Study) -> tuple[str, ...]:
    """Return which of the data function's arguments are in the space, in its order."""
    names = data_names(study.data)
    return tuple(name for name in study.space if name in names)


def default_arguments(study: Study) -> dict[str, Any]:
    """Return the arguments of the data that the study is checked and known by.

    What is fixed, and of what is searched and has no default its first value.
    """
    needed = names_needed(study.data) if data_names(study.data) else []
    arguments = {
        name: study.space[name].cut()[0] for name in searched_arguments(study) if name in needed
    }
    fixed = {name: study.fixed[name] for name in data_names(study.data) & study.fixed.keys()}
    return {**arguments, **fixed}


def arguments_text(study: Study, arguments: Mapping[str, Any]) -> str:
    """Return a text that is the same for arguments that give the same data, as defaults do."""
    defaults = {}
    if data_names(study.data):
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(study.data).parameters.items()
            if parameter.default is not parameter.empty
        }
    return json.dumps({**defaults, **arguments}, sort_keys=True, default=repr)


def load_dataset(study: Study, arguments: Mapping[str, Any] | None = None) -> Dataset:
    """Return the study's data.

    Args:
        study: Checked.
        arguments: Of its data function; None: those that the study is known by.

    Raises:
        StudyError: The function returns no `Dataset`.
    """
    named = default_arguments(study) if arguments is None else arguments
    dataset = study.data(**revealed(named))
    if not isinstance(dataset, Dataset):
        name = getattr(study.data, "__name__", "data")
        raise StudyError(
            f"{name}() must return a Dataset, got a {type(dataset).__name__}",
            where=f"study '{study.name}'",
        )
    return dataset


def split_dataset(study: Study, dataset: Dataset) -> Parts:
    """Cut a data set as the study says.

    Raises:
        StudyError: Every fault of the data set, or it cannot be cut so.
    """
    return split(
        dataset,
        seed=study.seed,
        kind=study.split,
        test_size=study.test_size,
        validation_size=study.validation_size,
    )


def count_folds(study: Study, parts: Parts) -> int | None:
    """Return the fits of each trial with `cv`, None without; the rows are cut to count them.

    Raises:
        StudyError: The rows cannot be cut so.
    """
    return None if study.cv is None else len(folds(parts.keys, study.cv))
