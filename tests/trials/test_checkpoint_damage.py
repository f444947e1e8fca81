"""Every kind of damage to the checkpoints of rungs, attempts and finalists:
they are refused in a `ValueError`, or left out, and the model stays as it was.
"""

from __future__ import annotations

import random
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tests.search.damages import DAMAGES, NEEDS_JSON
from tuning.errors import DamagedFileError
from tuning.storage.arrays import load_arrays
from tuning.trials.checkpoint import (
    Keeper,
    kept_at,
    load_checkpoint,
    save_checkpoint,
    seconds_until,
)

OWN, OTHER = "own fold 0", "other fold 0"
KINDS = [name for name in DAMAGES if name not in NEEDS_JSON]
SEEN = (
    "another search's",
    "empty",
    "half",
    "zeros",
    "random bytes",
    "a folder",
    "a pipe",
    "a device",
)
"""Those that no reader may miss; around an archive that is whole some bytes more do no harm."""


def net(weight):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    model.set_weights([np.full((2, 1), float(weight))])
    return model


def keeper_of(path, model, digest):
    """Return a Keeper of a fit that has reached its second epoch."""
    judge = SimpleNamespace(curve=[{"epoch": 2.0, "val_loss": 0.5}], seconds=3.0)
    fit = SimpleNamespace(model=model, batch_size=8, sync=lambda: None)
    return Keeper(path, judge, None, fit, alone=True, digest=digest)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The checkpoints of a trial, and those of another one whose weights are twice as large."""
    folder = tmp_path_factory.mktemp("whole")
    for weight, name, owner in ((1, "search", OWN), (2, "other", OTHER)):
        (folder / name).mkdir()
        save_checkpoint(folder / name / "end-0.npz", net(weight), 2, owner)
        keeper_of(folder / name / "fold-0.npz", net(weight), owner).keep(reached=2)
    return folder


@pytest.fixture(scope="module")
def fresh():
    return net(0)


def weights(model):
    return float(model.get_weights()[0].sum())


def load(path, model):
    return load_checkpoint(path, model, OWN)


def resume(path, model):
    keeper = keeper_of(path, model, OWN)
    keeper._judge.curve.clear()
    keeper.resume(path, model)
    assert keeper._judge.curve == [{"epoch": 2.0, "val_loss": 0.5}]
    return keeper.resumed_from


READERS = {
    "end-0.npz": (load,),
    "fold-0.npz": (
        resume,
        lambda path, model: kept_at(path, OWN),
        lambda path, model: int(seconds_until(path, OWN)) - 1,
    ),
}


def sweep(whole, folder, file, name, model):
    """Damage a file; each reader gives what was kept of this trial, or refuses it."""
    shutil.copytree(whole, folder)
    path = folder / "search" / file
    DAMAGES[name](path, random.Random(f"{file} {name}"))
    for read in READERS[file]:
        model.set_weights([np.zeros((2, 1))])
        try:
            epoch = read(path, model)
        except (ValueError, FileNotFoundError):
            assert weights(model) == 0.0, "the model has something of a file that was refused"
        else:
            assert epoch == 2
            assert weights(model) in (0.0, 2.0)  # not the 4.0 of the other trial
            assert name not in SEEN, "nobody has seen the damage"


@pytest.mark.parametrize("file", READERS)
def test_a_checkpoint_that_is_damaged_somehow_is_not_used(whole, tmp_path, fresh, file):
    for i, name in enumerate(("another search's", "a pipe", random.Random(file).choice(KINDS))):
        sweep(whole, tmp_path / str(i), file, name, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("file", READERS)
def test_no_damage_of_a_checkpoint_is_taken_up(whole, tmp_path, fresh, file):
    for i, name in enumerate(KINDS):
        sweep(whole, tmp_path / str(i), file, name, fresh)


@pytest.mark.parametrize(
    ("file", "theirs"), [("end-0.npz", "fold-0.npz"), ("fold-0.npz", "end-0.npz")]
)
def test_the_end_of_a_fit_and_the_progress_of_one_are_not_mixed_up(
    whole, tmp_path, fresh, file, theirs
):
    path = tmp_path / file
    shutil.copy(whole / "search" / theirs, path)
    for read in READERS[file]:
        fresh.set_weights([np.zeros((2, 1))])
        with pytest.raises(ValueError, match=r"it is of other parameters|is damaged"):
            read(path, fresh)
        assert weights(fresh) == 0.0


@pytest.mark.parametrize("n_bits", [200, pytest.param(3_000, marks=pytest.mark.slow)])
def test_bits_that_flip_are_seen_or_told_as_damage(whole, tmp_path, n_bits):
    """The sums of an archive see every bit of its arrays; those between them mean nothing."""
    path = tmp_path / "end-0.npz"
    data = (whole / "search" / "end-0.npz").read_bytes()
    right = load_arrays(whole / "search" / "end-0.npz")
    chance = random.Random(5)
    for _ in range(n_bits):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        try:
            stored = load_arrays(path)
        except DamagedFileError:
            continue
        for name in stored.keys() & right.keys():
            np.testing.assert_array_equal(stored[name], right[name])
