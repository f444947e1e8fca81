"""`Kind`: the source of a new study and of its tests, before the name is filled in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tuning.cli.new_study.tasks import TASKS
from tuning.errors import StudyError


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of study that can be written.

    Attributes:
        study: Source of the study file.
        test: Source of its tests, without what all of them begin with.
        tasks: Those that it can be written for, the usual one first.
        words: What else the sources' `$words` stand for, by task.
        engine: Who searches it.
        write_samples: Writes files to begin with into a folder, for a task; None: there are none.
    """

    study: str
    test: str
    tasks: tuple[str, ...]
    words: dict[str, dict[str, str]]
    engine: str = "optuna:tpe"
    write_samples: Callable[[Path, str], None] | None = None

    def sources(self, name: str, task: str) -> tuple[str, str]:
        """Return the source of study `name` and of its tests."""
        words = {
            "name": name,
            "word": name.replace("-", "_"),  # for names of functions
            "task": task,
            "engine": self.engine,
            **TASKS[task].words,
            **self.words.get(task, {}),
        }
        study = Template(self.study).safe_substitute(_SHARED)  # which has words of its own
        test = _TEST_HEAD + self.test
        return Template(study).substitute(words), Template(test).substitute(words)

    def check_task(self, kind_name: str, task: str) -> None:
        """Raise `StudyError` where this kind is not written for the task."""
        if task not in self.tasks:
            raise StudyError(
                f"--kind {kind_name} is not written for --task {task}; "
                f"there are: {', '.join(self.tasks)}"
            )


_SHARED = {
    "model_ends": """\
    model.compile(
        $compile_arguments,
    )
    return model""",
    "made_data": """\
    X, y = $maker(
        n_samples=400,
        n_features=8,
        $maker_arguments,
        random_state=0,
    )""",
    "study_begins": """\
STUDY = Study(
    name="$name",
    builder=build_model,
    data=load_data,
    objective=$objective,""",
    "study_ends": """\
    engine="$engine",
    trials=10,
    epochs=10,
    patience=3,
    seed=0,
)""",
}
"""What sources of several kinds have in common, under the `$words` that stand for it there."""

_TEST_HEAD = '''\
"""The builder of studies/$name.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuning import Study, load_study


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(str(Path(__file__).parents[2] / "studies" / "$name.py"))


'''

FITS_ITS_DATA = """\
def test_${word}_fits_the_shape_of_its_data(study):
    data = study.data()
    model = study.builder(**study.from_data(data))
    assert model.input_shape == (None, *data.input_shape)
    assert model.output_shape == (None, data.n_outputs)
"""
"""The test that most kinds end with."""

IS_COMPILED = """\
def test_${word}_is_compiled_with_its_learning_rate_and_loss(study):
    model = study.builder(**{**study.from_data(study.data()), "lr": 0.003})
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(0.003)
    assert model.loss == "$loss"


"""
"""The test of a builder that takes `lr`."""
