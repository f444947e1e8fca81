"""A winner's file that is another one, or more than a model, is refused before Keras opens it."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tuning.ledger.model_file import (
    ModelFileError,
    changed,
    load_model_file,
    model_fault,
    sha256_of,
)
from tuning.ledger.winner import Evaluation


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "good.keras"
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)]
    )
    model.save(path)
    return path, model


@pytest.fixture
def path(saved, tmp_path):
    copy = tmp_path / "winner.keras"
    shutil.copyfile(saved[0], copy)
    return copy


def rewrite(path, *, config=None, weights=None, more=()):
    """Write the zip anew with another description, other weights or further files."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        described = json.loads(files["config.json"])
        config(described)
        files["config.json"] = json.dumps(described).encode()
    if weights is not None:
        content = io.BytesIO(files["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            weights(file)
        files["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in [*files.items(), *more]:
            archive.writestr(name, data)


def first_layer(config):
    return config["config"]["layers"][1]


def test_what_was_saved_is_loaded_and_predicts_the_same(saved, path):
    again = load_model_file(path, sha256=sha256_of(path))
    X = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(again(X), saved[1](X))


def test_another_file_is_refused_by_name(path):
    sha256 = sha256_of(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match=r"winner\.keras is not the file that was saved"):
        load_model_file(path, sha256=sha256)
    assert "is not the model that was evaluated" in changed(
        Evaluation(test={}, sha256=sha256), path
    )
    assert changed(Evaluation(test={}, sha256=sha256_of(path)), path) == ""
    assert changed(Evaluation(test={}), path) == ""  # of a release that kept no digest


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04garbage"])
def test_what_is_no_zip_is_refused(path, content):
    path.write_bytes(content)
    assert "it is no model of Keras" in model_fault(path)


def of_class(name, module="keras.layers", **config):
    def change(described):
        first_layer(described).update(class_name=name, module=module, registered_name=None)
        first_layer(described)["config"].update(config)

    return change


def outside(file):
    file["outside"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft(file):
    file["soft"] = h5py.SoftLink("/elsewhere")


def in_another_file(file):
    file.create_dataset("raw", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def bomb(file):
    file.create_dataset("bomb", (10**6, 10**6), "f4", chunks=(1000, 1000))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"config": of_class("Lambda")}, "Lambda holds code"),
        ({"config": of_class("TFSMLayer")}, "TFSMLayer holds code"),
        ({"config": of_class("system", "os")}, "os.system is no class of Keras"),
        ({"config": of_class("Popen", "subprocess")}, "subprocess.Popen is no class of Keras"),
        ({"config": of_class("Dense", "keras", units=10**9)}, "a layer of units=1000000000"),
        ({"more": [("../../evil.py", b"x")]}, "outside its folder"),
        ({"more": [("/evil.py", b"x")]}, "outside its folder"),
        ({"more": [("evil.py", b"x")]}, "'evil.py' is no part of a model"),
        ({"weights": outside}, "'outside' are a link"),
        ({"weights": soft}, "'soft' are a link"),
        ({"weights": in_another_file}, "'raw' lie in another file"),
        ({"weights": bomb}, r"'bomb' of shape \(1000000, 1000000\) are not all there"),
    ],
)
def test_more_than_a_model_is_refused(path, change, reason):
    rewrite(path, **change)
    with pytest.raises(ModelFileError, match=reason):
        load_model_file(path)


def test_a_bomb_of_a_zip_is_refused(path):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/bomb", bytes(10**8))
    assert "that become 1000" in model_fault(path)


def test_a_layer_of_the_users_own_is_loaded_where_it_is_given(tmp_path):
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    path = tmp_path / "own.keras"
    keras.Sequential([keras.Input((2,)), Twice()]).save(path)
    with pytest.raises(ModelFileError, match=r"Twice is no class of Keras, and none that"):
        load_model_file(path)
    model = load_model_file(path, objects={"Twice": Twice})
    np.testing.assert_array_equal(model(np.ones((1, 2), np.float32)), [[2, 2]])
