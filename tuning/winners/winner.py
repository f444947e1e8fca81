"""`load_winner`: the winner of a search, to predict with."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tuning.errors import StudyError
from tuning.ledger.view.search_view import SearchView, read_search
from tuning.ledger.winner import WinnerRecord
from tuning.storage.home import tuning_home
from tuning.trial import Params
from tuning.winners.card import card_of
from tuning.winners.objects import objects_of
from tuning.winners.shown import html_of, line_of

if TYPE_CHECKING:
    from tuning.data.arrays import Array
    from tuning.trials.verdict.answers import Output

Answers: TypeAlias = "Array | dict[str, Array]"
"""One array, or by output name of several outputs."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Winner:
    """The honest winner of a search. TensorFlow starts with the first prediction.

    Attributes:
        search: `study/key` of the search.
        path: Its `.keras` file, checked against the digest in the ledger.
        view: All that the files say of the search.
        custom_objects: The user's own layers and functions by name; those of the study file are
            found without.
    """

    search: str
    path: Path
    view: SearchView
    custom_objects: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return line_of(self.view, self.record)

    def _repr_html_(self) -> str:
        return html_of(self.view, self.record)

    @property
    def params(self) -> Params:
        """What it was trained with, in the types of the space."""
        return self.view.winner_params

    @property
    def number(self) -> int:
        """The trial that the parameters come from."""
        return self.record.number

    @property
    def record(self) -> WinnerRecord:
        """Standings, seeds and evaluation."""
        return _record_of(self.view)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by number; empty where they have none."""
        return self.view.header.data.classes

    @property
    def card(self) -> str:
        """Data, search, scores with their spread, and limits, in Markdown."""
        return card_of(self.view)

    @functools.cached_property
    def model(self) -> Any:
        """The `keras.Model`, not compiled; it takes what `inputs` returns.

        Raises:
            ModelFileError: The file is another one, or holds more than a model.
            StudyError: Keras cannot make a class of it; says which and what helps.
        """
        from tuning.ledger.model_file import load_model_file

        objects = {**objects_of(self.view), **self.custom_objects}
        sha256 = self.record.evaluation.sha256
        try:
            return load_model_file(self.path, sha256=sha256, objects=objects)
        except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise StudyError(
                f"Keras cannot make the winner of {self.search} again: {reason}; give "
                "custom_objects={'Name': YourClass} to load_winner"
            ) from error

    def inputs(self, rows: Any) -> Any:
        """Return rows as `model` takes them.

        Args:
            rows: As in the data set that was searched, see `tuning.trials.saved_model.inputs_of`. A
                DataFrame may have its columns in any order, and others beside.

        Raises:
            StudyError: A column or an input is missing, or its shape is another one.
        """
        from tuning.trials.saved_model import inputs_of

        return inputs_of(self.path, self._in_order(rows))

    def predict(self, rows: Any) -> Answers:
        """Return an answer for each row, as the winner was scored on the test set.

        Args:
            rows: See `inputs`.

        Returns:
            Numbers, or names of classes (numbers where they have none), 0 and 1 for labels;
            `(rows,)` where a row has one answer. Of several outputs a dictionary of these by name.
        """
        from tuning.trials.verdict.decision import threshold_of

        threshold = threshold_of(self.path)
        return self._each(rows, lambda output, array: output.answers(array, threshold))

    def predict_proba(self, rows: Any) -> Answers:
        """Return the probability of each class, `(rows, classes)`, or of each label.

        Raises:
            StudyError: The winner predicts numbers.
        """
        return self._each(rows, lambda output, array: output.probabilities(array))

    def _each(self, rows: Any, make: Any) -> Answers:
        from tuning.data.arrays import named
        from tuning.trainer.forward import predict

        outputs = self.outputs
        predicted = [array for _, array in named(predict(self.model, self.inputs(rows)))]
        if len(outputs) != len(predicted):
            raise StudyError(
                f"{self.path} gives {len(predicted)} outputs, {len(outputs)} are known of it"
            )
        made = {
            output.name: make(output, array)
            for output, array in zip(outputs, predicted, strict=True)
        }
        return made[""] if list(made) == [""] else made

    @functools.cached_property
    def outputs(self) -> tuple[Output, ...]:
        """What each output means; of a winner of an earlier release as the data set tells it."""
        from tuning.trials.verdict.answers import Output, outputs_of

        kept = outputs_of(self.path)
        if kept:
            return kept
        task = self.view.header.data.task
        if not isinstance(task, str):
            return tuple(Output(name=name, task=each) for name, each in task.items())
        two_units = task == "binary" and self.model.output_shape[-1] == 2
        return (Output(task=task, two_units=two_units, classes=self.classes),)

    def _in_order(self, rows: Any) -> Any:
        """Return a DataFrame's columns in the order of the data set, where it has names of them."""
        names = list(self.view.header.data.features)
        if not names or not hasattr(rows, "columns") or self._finds_columns_itself:
            return rows
        missing = [name for name in names if name not in rows.columns]
        if missing:
            raise StudyError(
                f"the rows lack the columns {', '.join(missing)}; the winner takes "
                f"{', '.join(names)}"
            )
        return rows[names]

    @property
    def _finds_columns_itself(self) -> bool:
        beside = ("preprocessing", "inputs")
        return any(self.path.with_suffix(f".{name}.json").exists() for name in beside)


def load_winner(
    search: str | Path,
    *,
    home: str | Path | None = None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Winner:
    """Return the winner of a search that has ended, to use it.

    Args:
        search: A study that has one search, `study/key`, an id, or the search's folder.
        home: The state folder; None: TUNING_HOME or ./mlruns.
        custom_objects: The user's own layers and functions, where the study file does not define
            them.

    Raises:
        StudyError: There is no such search, the study has several, it has no winner yet or one
            without a model; says which there are.
        ModelFileError: The file is not the one that was evaluated.
    """
    view = read_search(tuning_home(None if home is None else str(home)), str(search))
    _record_of(view)
    path = view.model_file
    fault = _no_model(view)
    if path is None or fault:
        raise StudyError(fault or f"{view.name}: the winner's file is missing in {view.folder}")
    return Winner(search=view.name, path=path, view=view, custom_objects=custom_objects or {})


def _record_of(view: SearchView) -> WinnerRecord:
    if view.winner is None:
        study = view.header.study
        raise StudyError(
            f"{view.name} has no winner: it is {view.status}; end it with tuning run {study}"
        )
    return view.winner


def _no_model(view: SearchView) -> str:
    """Return why a winner cannot predict, or "" where its file is there, or merely lost."""
    evaluation = _record_of(view).evaluation
    if evaluation.model is None:
        return (
            f"{view.name}: this study's function keeps no model; its parameters are in tuning show"
        )
    if not evaluation.model.endswith(".keras"):
        return f"{view.name}: {evaluation.file_fault or 'only the weights of the winner are kept'}"
    return ""
