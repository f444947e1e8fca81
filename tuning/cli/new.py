"""`tuning new`: a study file and its tests, to be changed by the user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template

import click

from tuning.errors import StudyError
from tuning.storage.durable import write_bytes
from tuning.study.study_file import NAME


@dataclass(frozen=True)
class _Kind:
    """What differs between tasks, as source text."""

    maker: str
    rows: str
    targets: str
    objective: str
    last: str
    activation: str
    loss: str
    metrics: str


_KINDS = {
    "regression": _Kind(
        "make_regression",
        "n_samples=400, n_features=8, noise=5.0, random_state=0",
        "y / y.std()",
        'Minimize("val_rmse")',
        "1",
        "",
        "mse",
        "",
    ),
    "binary": _Kind(
        "make_classification",
        "n_samples=400, n_features=8, n_classes=2, random_state=0",
        "y",
        'Maximize("val_accuracy")',
        "1",
        ', activation="sigmoid"',
        "binary_crossentropy",
        ', metrics=["accuracy"]',
    ),
    "multiclass": _Kind(
        "make_classification",
        "n_samples=400, n_features=8, n_informative=5, n_classes=3, random_state=0",
        "y",
        'Maximize("val_accuracy")',
        "3",
        ', activation="softmax"',
        "sparse_categorical_crossentropy",
        ', metrics=["accuracy"]',
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
    """Return a compiled MLP: `n_hidden` ReLU layers of `n_neurons` units, then $last_words."""
    model = keras.Sequential([keras.layers.Input(input_shape)])
    for _ in range(n_hidden):
        model.add(keras.layers.Dense(n_neurons, activation="relu"))
    model.add(keras.layers.Dense($last$activation))
    model.compile(loss="$loss", optimizer=keras.optimizers.Adam(lr)$metrics)
    return model


def load_data() -> Dataset:
    """Return all rows of the table; replace this with your own. It is split and scaled for you."""
    X, y = $maker($rows)
    return Dataset(name="$name", X=X, y=$targets, task="$task")


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
    assert [layer.units for layer in model.layers] == [4] * n_hidden + [$last]


def test_${word}_is_compiled_with_the_learning_rate_and_loss_asked_for(study):
    model = study.builder(lr=0.003)
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(0.003)
    assert model.loss == "$loss"


def test_${word}_fits_the_shape_of_its_data(study):
    data = study.data()
    model = study.builder(**study.from_data(data))
    assert model.input_shape == (None, *data.input_shape)
    assert model.output_shape == (None, data.n_outputs)
''')


def write_new(name: str, task: str, root: Path) -> tuple[Path, Path]:
    """Write `studies/NAME.py` and `tests/studies/test_NAME.py` under `root`; return both paths.

    Raises:
        StudyError: The name is no study name, or one of the files is there already.
    """
    if not NAME.fullmatch(name):
        raise StudyError(
            f"name {name!r} must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"
        )
    paths = root / "studies" / f"{name}.py", root / "tests" / "studies" / f"test_{name}.py"
    there = [
        f"{path} is there already; take another name or remove it"
        for path in paths
        if path.exists()
    ]
    if there:
        raise StudyError(there)
    words = _words(name, task)
    for path, template in zip(paths, (_STUDY, _TEST), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, template.substitute(words).encode())
        path.chmod(0o644)  # source is shared, state is not
    return paths


def _words(name: str, task: str) -> dict[str, str]:
    kind = _KINDS[task]
    units = "one unit" if kind.last == "1" else f"{kind.last} units"
    return {
        **vars(kind),
        "name": name,
        "task": task,
        "word": name.replace("-", "_"),
        "goal": kind.objective.partition("(")[0],
        "last_words": units + (" with " + kind.activation.split('"')[1] if kind.activation else ""),
    }


@click.command("new")
@click.argument("name")
@click.option("--task", type=click.Choice(list(_KINDS)), default="regression", show_default=True)
def new(name: str, task: str) -> None:
    """Write a study file and its tests, that run as they are.

    \b
    Example:
      python -m tuning new churn --task binary
    """
    root = Path.cwd()
    study, test = (path.relative_to(root) for path in write_new(name, task, root))
    click.echo(
        f"wrote {study} and {test}\nsearch it: make tune STUDY={name}\ntest it: make test ARGS={test}"
    )
