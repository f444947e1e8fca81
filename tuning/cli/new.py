"""`tuning new`: a study file and its tests, for the user to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import NamedTuple

import click

from tuning.errors import StudyError
from tuning.storage.durable import write_bytes
from tuning.study.study_file import NAME


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What differs between tasks, as source text.

    Attributes:
        maker: scikit-learn's function that makes the data.
        maker_arguments: Its own, beside the size of the data.
        target: Made of what it returns.
        objective: A class of ours with the metric.
        outputs: Units of the last layer.
        activation: Of the last layer; "" for none.
        loss: What the model is compiled with.
        metrics: The same; "" for none.
    """

    maker: str
    maker_arguments: tuple[str, ...]
    target: str
    objective: str
    outputs: int
    activation: str = ""
    loss: str
    metrics: str = ""


_TASKS = {
    "regression": _Task(
        maker="make_regression",
        maker_arguments=("noise=5.0",),
        target="y / y.std()",
        objective='Minimize("val_rmse")',
        outputs=1,
        loss="mse",
    ),
    "binary": _Task(
        maker="make_classification",
        maker_arguments=("n_classes=2",),
        target="y",
        objective='Maximize("val_accuracy")',
        outputs=1,
        activation="sigmoid",
        loss="binary_crossentropy",
        metrics='["accuracy"]',
    ),
    "multiclass": _Task(
        maker="make_classification",
        maker_arguments=("n_informative=5", "n_classes=3"),
        target="y",
        objective='Maximize("val_accuracy")',
        outputs=3,
        activation="softmax",
        loss="sparse_categorical_crossentropy",
        metrics='["accuracy"]',
    ),
}

_STUDY = Template('''\
"""A new study: say in one line what is searched, and on which data."""

from __future__ import annotations

import keras
from sklearn.datasets import $maker

from tuning import Choice, Dataset, Float, Int, $goal, Study


def build_model(
    n_hidden: int = 1, n_neurons: int = 30, lr: float = 1e-2, input_shape: tuple[int, ...] = (8,)
) -> keras.Model:
    """Return a compiled MLP: `n_hidden` ReLU layers of `n_neurons`, then $last_layer."""
    model = keras.Sequential([keras.layers.Input(input_shape)])
    for _ in range(n_hidden):
        model.add(keras.layers.Dense(n_neurons, activation="relu"))
    model.add(keras.layers.Dense($last_arguments))
    model.compile(
        $compile_arguments,
    )
    return model


def load_data() -> Dataset:
    """Return all rows of the table; replace this by your own. It is split and scaled for you."""
    X, y = $maker(
        n_samples=400,
        n_features=8,
        $maker_arguments,
        random_state=0,
    )
    return Dataset(name="$name", X=X, y=$target, task="$task")


STUDY = Study(
    name="$name",
    builder=build_model,
    data=load_data,
    objective=$objective,
    space={
        "n_hidden": Int(0, 2),
        "n_neurons": Int(4, 64, log=True),
        "lr": Float(1e-3, 1e-1, log=True),
        "batch_size": Choice(16, 32, 64),
    },
    engine="optuna:tpe",
    trials=10,
    epochs=10,
    patience=3,
    seed=0,
)
''')

_TEST = Template('''\
"""The builder of studies/$name.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuning import Study, load_study


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(str(Path(__file__).parents[2] / "studies" / "$name.py"))


@pytest.mark.parametrize("n_hidden", [0, 1, 2])
def test_${word}_stacks_n_hidden_layers_before_the_last(study, n_hidden):
    model = study.builder(n_hidden=n_hidden, n_neurons=4)
    assert [layer.units for layer in model.layers] == [4] * n_hidden + [$outputs]


def test_${word}_is_compiled_with_its_learning_rate_and_loss(study):
    model = study.builder(lr=0.003)
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(0.003)
    assert model.loss == "$loss"


def test_${word}_fits_the_shape_of_its_data(study):
    data = study.data()
    model = study.builder(**study.from_data(data))
    assert model.input_shape == (None, *data.input_shape)
    assert model.output_shape == (None, data.n_outputs)
''')


class NewFiles(NamedTuple):
    """The files of a new study."""

    study: Path
    test: Path


def write_new(name: str, task: str, root: Path) -> NewFiles:
    """Write `studies/NAME.py` and `tests/studies/test_NAME.py` under `root`.

    Raises:
        StudyError: The name is not a study's name, or one of the files is there already.
    """
    if not NAME.fullmatch(name):
        raise StudyError(
            f"name {name!r} must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"
        )
    files = NewFiles(
        study=root / "studies" / f"{name}.py",
        test=root / "tests" / "studies" / f"test_{name}.py",
    )
    faults = [
        f"{path} is there already; take another name or remove it"
        for path in files
        if path.exists()
    ]
    if faults:
        raise StudyError(faults)

    words = _words(name, task)
    _write(files.study, _STUDY.substitute(words))
    _write(files.test, _TEST.substitute(words))
    return files


def _write(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, source.encode())
    path.chmod(0o644)  # source is shared, state is not


def _words(name: str, task: str) -> dict[str, str]:
    """Return what the templates' `$words` stand for."""
    kind = _TASKS[task]
    last_layer = "one unit" if kind.outputs == 1 else f"{kind.outputs} units"
    last_arguments = str(kind.outputs)
    if kind.activation:
        last_layer += f" with {kind.activation}"
        last_arguments += f', activation="{kind.activation}"'

    compile_arguments = [f'loss="{kind.loss}"', "optimizer=keras.optimizers.Adam(lr)"]
    if kind.metrics:
        compile_arguments.append(f"metrics={kind.metrics}")

    return {
        "name": name,
        "word": name.replace("-", "_"),  # for names of functions
        "task": task,
        "maker": kind.maker,
        "maker_arguments": _one_a_line(kind.maker_arguments),
        "target": kind.target,
        "objective": kind.objective,
        "goal": kind.objective.partition("(")[0],
        "outputs": str(kind.outputs),
        "loss": kind.loss,
        "last_layer": last_layer,
        "last_arguments": last_arguments,
        "compile_arguments": _one_a_line(compile_arguments),
    }


def _one_a_line(arguments: Iterable[str]) -> str:
    return ",\n        ".join(arguments)


@click.command("new")
@click.argument("name")
@click.option("--task", type=click.Choice(list(_TASKS)), default="regression", show_default=True)
def new(name: str, task: str) -> None:
    """Write a study file and its tests, which run as they are.

    \b
    Example:
      python -m tuning new churn --task binary
    """
    root = Path.cwd()
    files = write_new(name, task, root)
    test = files.test.relative_to(root)
    click.echo(f"wrote {files.study.relative_to(root)} and {test}")
    click.echo(f"search it: make tune STUDY={name}")
    click.echo(f"test it: make test ARGS={test}")
