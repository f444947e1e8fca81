"""`Measure`: what computes an objective from predictions of one output or of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuning.data.arrays import Array, Arrays
from tuning.data.dataset import Task, Tasks
from tuning.errors import StudyError
from tuning.scoring import catalog, metrics
from tuning.scoring.catalog import Metric
from tuning.scoring.steps import Answers, without_padding
from tuning.study.objective import METRICS, Objective, direction_of


@dataclass(frozen=True, eq=False)
class Measure:
    """Computes one objective.

    Attributes:
        name: Without `val_`.
        task: Of the output it looks at.
        metric: Of the catalogue.
        output: Which of several it looks at; "": the only one.
    """

    name: str
    task: Task
    metric: Metric
    output: str = ""

    def __call__(
        self,
        y: Arrays,
        predicted: Arrays,
        weight: Arrays | None = None,
        *,
        threshold: float | None = None,
    ) -> float:
        """Return the objective's value, NaN where it has none.

        Args:
            y: `(rows, …)`, by output where there are several.
            predicted: As the model returns it, after its link; by output as y.
            weight: `(rows,)`, or one by output; None: 1 each. Of sequences also `(rows, steps)`: a
                step of weight 0 is padding, and looked at by no metric.
            threshold: See `tuning.scoring.metrics.score`.
        """
        answers = Answers(
            self.of_output(y),
            self.of_output(predicted),
            None if weight is None else self.of_output(weight),
        )
        y, predicted, weight = without_padding(answers)
        return metrics.score_case(self.metric, self.task, y, predicted, weight, threshold=threshold)

    def of_output(self, arrays: Arrays) -> Array:
        """Return the arrays of the output it looks at."""
        if not isinstance(arrays, Mapping):
            return arrays
        if self.output.isdigit() and self.output not in arrays:  # the data has their order alone
            return list(arrays.values())[int(self.output)]
        return arrays[self.output] if self.output else next(iter(arrays.values()))

    @property
    def wants_threshold(self) -> bool:
        """Whether a threshold between two classes changes its value."""
        return self.metric.of_classes and self.task == "binary"


def measure_of(objective: Objective, task: Tasks) -> Measure | None:
    """Return what computes an objective; None where only the compiled model can.

    Args:
        objective: What is asked for.
        task: Of the data set.

    Raises:
        StudyError: The metric does not fit the data, or of several outputs it names none.
    """
    if objective.name == "loss":
        return None
    if objective.function is not None:
        return _own_measure(objective, task)
    if isinstance(task, str):
        return _measure(objective.name, task)
    return _measure_of_output(objective, task)


def check_direction(objective: Objective, task: Tasks) -> None:
    """Raise `StudyError` where an objective of one of several outputs finds the worst model.

    Which metric it names is known only with the outputs; the others are checked with the study.
    """
    output = "" if isinstance(task, str) else _output_of(objective, task)
    if not output or objective.function is not None:
        return
    if direction_of(objective.name.removeprefix(f"{output}_")) not in (None, objective.direction):
        raise StudyError(
            objective.wrong_way,
            where="objective",
        )


def is_always_ours(name: str) -> bool:
    """Whether a metric is computed by us though the model was compiled with one of its name."""
    return name in METRICS and name != "loss"


def names_known(task: Tasks) -> tuple[str, ...]:
    """Return the names that an objective may have, for advice: those by output where several."""
    if isinstance(task, str):
        return metrics.fitting(task)
    names = [f"{output}_{name}" for output in task for name in metrics.fitting(task[output])]
    return (*names, "loss")


def _measure(name: str, task: Task, output: str = "") -> Measure | None:
    metric = catalog.find(name)
    if metric is not None and task in metric.tasks:
        return Measure(name, task, metric, output)
    # Of a name that was not ours in the first release the model may have a metric of its own.
    if is_always_ours(name):
        metrics.check(name, task)
    return None


def _measure_of_output(objective: Objective, tasks: Mapping[str, Task]) -> Measure | None:
    output = _output_of(objective, tasks)
    if output:
        name = objective.name.removeprefix(f"{output}_")
        return None if name == "loss" else _measure(name, tasks[output], output)

    if not is_always_ours(objective.name):
        return None
    fitting = [f"val_{output}_{objective.name}" for output in tasks]
    raise StudyError(
        f"objective '{objective.metric}': the data have {len(tasks)} outputs, say which one; "
        f"use {', '.join(fitting)}, or val_loss",
        where="objective",
    )


def _own_measure(objective: Objective, task: Tasks) -> Measure:
    assert objective.function is not None  # noqa: S101 - asked before
    if isinstance(task, str):
        return Measure(objective.name, task, catalog.of_function(objective.function, task))

    output = _output_of(objective, task)
    if output:  # a function sees one output
        metric = catalog.of_function(objective.function, task[output])
        return Measure(objective.name.removeprefix(f"{output}_"), task[output], metric, output)
    names = ", ".join(f'name="{output}_{objective.name}"' for output in task)
    raise StudyError(
        f"objective '{objective.metric}': the data have {len(task)} outputs, say which one the "
        f"function is for: {names}",
        where="objective",
    )


def _output_of(objective: Objective, tasks: Mapping[str, Task]) -> str:
    """Return the output whose name the objective's begins with; "": none."""
    # The longest name first: of 'price' and 'price_log' the second has 'price_log_rmse'.
    for output in sorted(tasks, key=len, reverse=True):
        if objective.name.startswith(f"{output}_"):
            return output
    return ""
