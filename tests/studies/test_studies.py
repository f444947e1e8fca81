"""Every study that ships: it loads without TensorFlow, bears its file's name, and its builder fits
its data.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.courses import COURSES
from tests.data.titanic_like import titanic_like
from tuning import Dataset, load_study
from tuning.builders.build import build
from tuning.builders.check import check_builder
from tuning.builders.functions import MINIMA
from tuning.data.parts import split
from tuning.data.tables.frames import table_dataset
from tuning.study.study_file import import_file
from tuning.trials.functions import evaluate

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "studies").glob("*.py"))
NAMES = [path.stem for path in FILES]
FUNCTIONS = ("branin", "hartmann6", "noisy_branin")  # nothing is trained
TRAINED = [name for name in NAMES if name not in FUNCTIONS]


def images(*shape, classes):
    """Made images, where the real ones must be fetched."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % len(classes)
    task = "binary" if len(classes) == 2 else "multiclass"
    return Dataset("made", rng.random((200, *shape)), y, task, classes=classes, scale=False)


STAND_INS = {
    "mnist": lambda: images(28, 28, classes=tuple("0123456789")),
    "faces": lambda: images(713, classes=("another", "this one")),
    "survived": lambda: table_dataset(titanic_like(), "survived", "binary", name="survived"),
}


def load(name):
    """The study, with data that needs no network."""
    study = load_study(name, ROOT)
    return study.with_(data=STAND_INS[name]) if name in STAND_INS else study


def arguments_of(study, point):
    builder_arguments = study.split_params(point).builder
    return {**study.from_data(study.data()), **builder_arguments}


def test_the_studies_of_the_courses_are_there():
    assert set(COURSES) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_bears_the_name_of_its_file(name):
    assert load_study(name, ROOT).name == name


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_study_says_in_its_first_line_what_it_is(path):
    first = (import_file(path).__doc__ or "").splitlines()[0]
    assert 20 < len(first) <= 120
    assert first.endswith(".")


@pytest.mark.parametrize("name", TRAINED)
def test_the_builder_fits_the_data_anywhere_in_the_space(name):
    study = load(name)
    data = study.data()
    for seed in range(2):
        arguments = arguments_of(study, study.space.sample(np.random.default_rng(seed)))
        check_builder(
            study.builder,
            arguments,
            input_shape=data.input_shape,
            task=data.task,
            n_outputs=data.n_outputs,
        )


@pytest.mark.parametrize("name", TRAINED)
def test_a_few_rows_can_be_trained_on(name):
    study = load(name)
    parts = split(
        study.data(),
        seed=study.seed,
        test_size=study.test_size,
        validation_size=study.validation_size,
    ).scaled()
    model = build(
        study.builder, arguments_of(study, study.space.sample(np.random.default_rng(0))), study.seed
    )
    before = model.get_weights()
    model.run_eagerly = True  # a graph for one step costs seconds
    model.fit(parts.train.X[:16], parts.train.y[:16], verbose=0)
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_data_can_be_cut_into_the_folds_a_study_asks_for(name):
    study = load(name)
    parts = split(study.data(), seed=study.seed)
    assert len(parts.folds(study.cv or 2)) == (study.cv or 2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_value_anywhere_in_its_space_and_none_below_its_minimum(name):
    study = load_study(name, ROOT)
    rng = np.random.default_rng(0)
    values = [
        evaluate(study, study.space.sample(rng), epoch=study.epochs, seed=None) for _ in range(200)
    ]
    assert MINIMA[name] <= min(values) < max(values)


def test_housing_grid_is_the_courses_very_grid():
    study = load_study("housing_grid", ROOT)
    points = {(p["n_hidden"], p["n_neurons"], p["lr"]) for p in study.space.grid()}
    assert points == {
        (h, n, lr) for h in (1, 2, 3) for n in (50, 100, 200) for lr in (1e-4, 1e-3, 1e-1)
    }
    assert (study.engine, study.trials, study.cv, study.epochs, study.patience) == (
        "gridsearchcv",
        None,
        2,
        30,
        None,
    )


def test_loading_every_study_imports_no_tensorflow():
    code = (
        "import sys; from tuning import load_study; "
        f"[load_study(name) for name in {NAMES!r}]; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
