"""Windows, image folders and streams from their study to the winner's score."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from tests.trials.small_study import ScriptedContext
from tests.trials.test_finalist import finalist
from tuning import Choice, Dataset, Float, ImageFolder, Maximize, Minimize, Stream, Study, Windows
from tuning.engines.remote import prepare
from tuning.errors import StudyError
from tuning.trials.finalist import train_finalist
from tuning.trials.jobs import EvaluationJob
from tuning.trials.winner import evaluate_winner


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))


def network(input_shape, *layers, units=1, activation=None, loss="mse"):
    last = keras.layers.Dense(units, activation)
    model = keras.Sequential([keras.Input(input_shape), *layers, last])
    model.compile("adam", loss)
    return model


def study(name, data, builder, **changes):
    settings = {
        "objective": Maximize("val_accuracy"),
        "space": {"width": Choice(2, 3)},
        "batch_size": 16,
        "epochs": 2,
        "seed": 1,
    }
    return Study(**{"name": name, "data": data, "builder": builder, **settings, **changes})


def searched(folder, defined, **params):
    """Do what a search does with one point: check, train on a fresh seed, evaluate."""
    folder.mkdir(exist_ok=True)
    prepare(finalist(folder, defined).source, {})
    job = replace(finalist(folder, defined), params=params)
    outcome = train_finalist(job, ScriptedContext())
    winner = EvaluationJob(
        source=job.source,
        overrides={},
        params=params,
        epochs=job.epochs,
        seed=outcome.seed,
        weights=folder / outcome.weights,
        saved=folder / "winner.keras",
        file=folder / "evaluation.json",
    )
    return outcome, evaluate_winner(winner, ScriptedContext())


def wave(**fields):
    moments = np.arange(160)
    noise = np.random.default_rng(0).normal(size=160)
    return Windows(np.sin(moments / 6) + 0.1 * noise, 8, horizon=2, **fields)


def lstm(width: int = 2, input_shape: tuple[int, ...] = (8, 1)) -> keras.Model:
    return network(input_shape, keras.layers.LSTM(width))


def test_an_lstm_on_windows_scores_as_on_the_windows_written_out(tmp_path):
    def unrolled():
        windows = wave(scale=False)
        X = np.asarray(windows.X)
        return Dataset("wave", X, windows.y, "regression", scale=False, time=windows.time)

    def lazy():
        return wave(scale=False)

    objective = Minimize("val_rmse")
    ours, our_test = searched(
        tmp_path / "windows", study("wave", lazy, lstm, objective=objective), width=3
    )
    theirs, their_test = searched(
        tmp_path / "plain", study("wave", unrolled, lstm, objective=objective), width=3
    )
    assert ours.value == pytest.approx(theirs.value, rel=1e-6)
    assert our_test.test["rmse"] == pytest.approx(their_test.test["rmse"], rel=1e-6)
    assert our_test.baseline["linear"] == pytest.approx(their_test.baseline["linear"])


def test_windows_are_scaled_in_the_saved_winner_too(tmp_path):
    defined = study("wave", wave, lstm, objective=Minimize("val_rmse"))
    _, evaluation = searched(tmp_path / "windows", defined, width=2)
    assert evaluation.reload_error < 1e-4


def augmented(width: int = 2, input_shape: tuple[int, ...] = (6, 6, 1)) -> keras.Model:
    return network(
        input_shape,
        keras.layers.RandomFlip(seed=1),
        keras.layers.Conv2D(width, 3, activation="relu"),
        keras.layers.Flatten(),
        activation="sigmoid",
        loss="binary_crossentropy",
    )


def test_a_cnn_with_augmentation_is_searched_from_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    for number, name in enumerate(("dark", "light")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(24):
            pixels = rng.integers(100 * number, 100 * number + 60, (6, 6), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")

    def images():
        return ImageFolder(tmp_path / "images", image_size=(6, 6), color="grayscale")

    _, evaluation = searched(tmp_path / "search", study("images", images, augmented), width=3)
    assert evaluation.reload_error < 1e-4
    assert evaluation.baseline["linear"]["accuracy"] == 1.0


X = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")


def part(first, last):
    def batches(batch_size, seed):
        for start in range(first, last, batch_size):
            rows = slice(start, min(last, start + batch_size))
            yield X[rows], Y[rows]

    return batches


def points():
    return Stream(part(0, 120), part(120, 160), part(160, 200))


def dense(width: int = 2, input_shape: tuple[int, ...] = (4,)) -> keras.Model:
    hidden = keras.layers.Dense(width, "relu")
    return network(input_shape, hidden, activation="sigmoid", loss="binary_crossentropy")


def test_a_stream_of_generators_is_searched_and_its_winner_compared_with_the_dummy(tmp_path):
    defined = study("points", points, dense, patience=1)
    outcome, evaluation = searched(tmp_path / "search", defined, width=3)
    share = Y[160:].mean()
    assert evaluation.baseline["dummy"]["accuracy"] == pytest.approx(max(share, 1 - share))
    assert set(evaluation.baseline) == {"dummy"}
    assert evaluation.margin is None
    assert evaluation.reload_error < 1e-4
    assert 0.0 <= outcome.value <= 1.0


def test_what_does_not_go_with_a_stream_is_refused_before_the_search(tmp_path):
    def fixed():
        batches = part(0, 120)

        def of_eight():
            yield from batches(8, 0)

        return Stream(of_eight, part(120, 160), part(160, 200))

    space = {"width": Choice(2, 3), "batch_size": Choice(8, 16), "lr": Float(0.1, 1.0)}

    def with_rate(lr: float = 0.1, width: int = 2) -> keras.Model:
        return dense(width)

    defined = study("points", fixed, with_rate, space=space, cv=2)
    with pytest.raises(StudyError) as caught:
        prepare(finalist(tmp_path, defined).source, {})
    assert len(caught.value.faults) == 2
    assert "a Stream has no folds" in caught.value.faults[0]
    assert "comes in batches already" in caught.value.faults[1]

    defined = study("points", points, dense, engine="gridsearchcv")
    with pytest.raises(StudyError, match="engine 'gridsearchcv' cuts an array in memory"):
        prepare(finalist(tmp_path, defined).source, {})


def test_class_weights_of_a_streams_masks_are_refused_before_the_search(tmp_path):
    # Its batches would be trained as if all classes weighed alike.
    def masks():
        def of(first, last):
            def batches(batch_size, seed):
                yield from ((rows, (rows > 0).astype(int)) for rows, _ in part(first, last)(40, 0))

            return batches

        return Stream(of(0, 120), of(120, 160), of(160, 200), task="binary")

    defined = study("points", masks, dense, class_weight="balanced")
    with pytest.raises(StudyError, match=r"let its batches be \(X, y, weight\)"):
        prepare(finalist(tmp_path, defined).source, {})
