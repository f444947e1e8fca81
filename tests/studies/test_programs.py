"""Programs that people write, as studies of at most 60 lines, and what they score without us.

Each plain program is trained from eight seeds, at the winner's point, on the same rows and for as
many epochs. They agree where the winner's mean over its three fresh seeds, and its figure on the
test part, lie within the interval in which 99.9 % of such figures of the plain program would lie
(Student's t). And both have learnt something: on the test part a dummy lies outside of it.
"""

from __future__ import annotations

import math
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import stats

import tuning.search.run
from tests.search.run_parts import NoWriter
from tests.studies.plain_programs import PLAIN, SEEDS
from tests.trials.small_study import ScriptedContext
from tests.trials.test_finalist import finalist
from tuning import load_study
from tuning.cli.new_study.images import write_shapes
from tuning.ledger.search import SearchFiles
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.trials.finalist import train_finalist

FOLDER = Path(__file__).parent / "programs"
BY_ITS_OWN_ENGINE = ""
KERAS_TUNER_PROGRAMS = ("build_model_hp", "hypermodel")
RUNS = [
    *((name, BY_ITS_OWN_ENGINE) for name in PLAIN if name not in KERAS_TUNER_PROGRAMS),
    *(
        (name, engine)
        for name in KERAS_TUNER_PROGRAMS
        for engine in ("optuna:tpe", "gridsearchcv", "keras-tuner:bayesian")
    ),
]


@pytest.fixture
def program(tmp_path):
    """Return the file of a program, with what lies beside it."""

    def program(name):
        if name != "cnn_images":
            return FOLDER / f"{name}.py"
        write_shapes(tmp_path / "images", "multiclass")
        return Path(shutil.copy(FOLDER / f"{name}.py", tmp_path))

    return program


@pytest.fixture
def searched(tmp_path, monkeypatch, forkserver):
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))

    def searched(file, **variant):
        options = RunOptions(devices="cpu:1", variant=variant)
        summary = run_study(str(file), options, None, forkserver)
        (header,) = (tmp_path / "home").glob("ledger/*/*/search.json")
        return summary, SearchFiles(header.parent).winner

    return searched


def check_agrees(ours, plain, *, n_seeds, dummy=None):
    """Compare a mean of ours over some seeds with the figures of the plain program's."""
    n_plain = len(plain)
    mean = statistics.fmean(plain)
    # Seeds that all give the same, as an accuracy of 1, say nothing of their spread.
    deviation = max(statistics.stdev(plain), 0.005 * abs(mean))
    t = stats.t.ppf(0.9995, n_plain - 1)
    reach = t * deviation * math.sqrt(1 / n_plain + 1 / n_seeds)
    assert abs(ours - mean) <= reach, (ours, reach, plain)
    if dummy is not None:
        assert abs(dummy - mean) > reach, (dummy, reach, plain)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "engine"), RUNS)
def test_a_program_scores_as_it_does_without_us(name, engine, program, searched):
    file = program(name)
    summary, winner = searched(file, **({"engine": engine} if engine else {}))
    assert summary.status in ("completed", "exhausted")
    assert summary.counts["failed"] == 0

    study = load_study(str(file))
    params = winner.standing.params
    plain = [PLAIN[name].scores(study, params, seed) for seed in SEEDS]
    metric = study.objective.metric.removeprefix("val_")
    dummy = winner.evaluation.baseline.get("dummy", {}).get(metric)
    validation = [scores.validation for scores in plain]
    check_agrees(winner.standing.mean, validation, n_seeds=study.seeds)
    test = [scores.test for scores in plain]
    check_agrees(winner.evaluation.test[metric], test, n_seeds=1, dummy=dummy)


def test_the_programs_are_short():
    lengths = {file.name: len(file.read_text().splitlines()) for file in FOLDER.glob("*.py")}
    assert max(lengths.values()) <= 60, lengths
    assert lengths.keys() == {f"{name}.py" for name in [*PLAIN, "program_layers"]}


def joined_rows():
    """The rows of `wide_deep.py` with both inputs beside each other."""
    rows = load_study(str(FOLDER / "wide_deep.py")).data()
    return replace(rows, X=np.concatenate([rows.X["wide"], rows.X["deep"]], axis=1))


def joined(n_units: int = 8, lr: float = 0.01) -> keras.Model:
    """Return the network of `wide_deep.py`, which takes its two inputs out of one."""
    wide_and_deep = load_study(str(FOLDER / "wide_deep.py")).builder
    inner = wide_and_deep({"wide": (3,), "deep": (5,)}, n_units, lr)
    both = keras.Input((8,))
    model = keras.Model(both, inner({"wide": both[:, :3], "deep": both[:, 3:]}))
    model.compile(
        optimizer=keras.optimizers.Adam(lr),
        loss={"price": "mse", "aside": "mse"},
        loss_weights={"price": 0.9, "aside": 0.1},
    )
    return model


def test_two_inputs_and_outputs_train_bit_for_bit_as_the_concatenated_one(tmp_path):
    two = load_study(str(FOLDER / "wide_deep.py"))
    one = two.with_(builder=joined, data=joined_rows)
    outcomes = []
    weights = []
    for place, defined in enumerate((two, one)):
        folder = tmp_path / str(place)
        folder.mkdir()
        job = replace(finalist(folder, defined.with_(epochs=4)), params={"n_units": 5, "lr": 0.02})
        outcomes.append(train_finalist(job, ScriptedContext()))
        with np.load(folder / outcomes[-1].weights) as stored:
            weights.append([stored[name] for name in sorted(stored.files)])

    assert outcomes[0].value == outcomes[1].value
    assert outcomes[0].value < 1.5  # it has learnt: y's deviation is 2
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
