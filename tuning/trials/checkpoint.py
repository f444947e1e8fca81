"""The state of a training as one `.npz` of plain arrays: no pickle, no code.

`save_checkpoint` keeps the end of a trial for the one that continues it; a `Keeper` keeps what a
trial needs to be taken up by its next attempt as if nothing had happened.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from tuning.builders.callbacks import Callbacks, check_kind, put_state, state_of, why_not_kept
from tuning.data.dataset import Array
from tuning.errors import DamagedFileError, first_line
from tuning.storage.arrays import load_arrays
from tuning.storage.durable import read_json, write_bytes, write_json
from tuning.trainer.keras_internals import averages, parts_of
from tuning.trainer.state import load_state, state_arrays
from tuning.trainer.train import Fit
from tuning.trial import Answer
from tuning.trials.judge import Judge

KEEP_EVERY_S = 60.0
"""Seconds of training between two checkpoints of a running trial; the simulator counts with as
many.
"""

_NOT_KEPT = ".not-kept"
"""In the place of `.npz`: why there is no checkpoint."""

_OWNER = "owner"
"""The array in which a checkpoint says what it is of."""

_FIT = "fit"
"""The array in which a `Keeper`'s file has its name, and so its fold."""

_STOPPER = ("wait", "stopped_epoch", "best", "best_epoch")
"""What Keras' early stopping knows, besides its best weights."""


def save_checkpoint(path: Path, model: keras.Model, epoch: int, owner: str = "") -> None:
    """Keep weights, optimizer variables and random states after `epoch` epochs, durably.

    Args:
        path: Of the file.
        model: Compiled.
        epoch: How many it has behind it.
        owner: What was trained, in a word that whoever loads it knows too; "": not known.
    """
    arrays: dict[str, Any] = {"epoch": np.array(epoch), **_numbered("v", state_arrays(model))}
    if owner:
        arrays[_OWNER] = np.array(owner)
    _write(path, arrays)


def load_checkpoint(path: Path, model: keras.Model, owner: str = "") -> int:
    """Put a kept state into a model of equal structure; return the epochs it has behind it.

    Args:
        path: Of the file.
        model: Of the structure that was kept.
        owner: As for `save_checkpoint`; a file of an earlier version has none.

    Raises:
        ValueError: The file is of something else, or damaged; or the model's structure is another.
    """
    stored = _read(path)
    theirs = str(stored.get(_OWNER, ""))
    # A `Keeper`'s file is of a fit that has not ended.
    if _FIT in stored or (owner and theirs and owner != theirs):
        raise ValueError("it is of other parameters, another fold or another seed")
    with _told_as_damaged(path):
        epoch = int(stored["epoch"])
    _put_state(model, stored)
    return epoch


class LastWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Remembers the weights and their averages after each epoch, for an optimizer with `use_ema`.

    When training ends Keras puts the averages in the weights' place; one that goes on must not
    begin there.
    """

    knows_only_its_model = True

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self._fit = fit
        self._arrays: list[Array] = []

    @staticmethod
    def are_averaged(model: keras.Model) -> bool:
        """Whether a compiled model's optimizer averages its weights."""
        return any(optimizer.use_ema for optimizer in parts_of(model.optimizer))

    def beside(self, callbacks: Sequence[keras.callbacks.Callback]) -> Callbacks:
        """Return the callbacks of the fit and this one: last, unless Keras' own comes before.

        `SwapEMAWeights(swap_on_epoch=True)` exchanges weights and averages when an epoch ends, and
        after the last one it drops the weights.
        """
        swaps = any(isinstance(each, keras.callbacks.SwapEMAWeights) for each in callbacks)
        return [self, *callbacks] if swaps else [*callbacks, self]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Remember them."""
        self._fit.sync()
        self._arrays = [keras.ops.convert_to_numpy(each).copy() for each in self._variables()]

    def put_back(self) -> None:
        """Give the model its state after the last epoch; nothing where none was trained."""
        if self._arrays:
            for variable, array in zip(self._variables(), self._arrays, strict=True):
                variable.assign(array)

    def _variables(self) -> list[Any]:
        model = self._fit.model
        return [*model.trainable_variables, *(pair[1] for pair in averages(model.optimizer))]


class Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps a fit's progress: state, curve, early stopping with its best weights.

    Must come last in the list of callbacks.

    Attributes:
        callbacks: The user's own, which are kept too where that is possible.
        resumed_from: The epoch an earlier attempt had reached; 0: there was none.
        ended: Early stopping had ended the fit by then.
    """

    knows_only_its_model = True

    def __init__(
        self,
        path: Path,
        judge: Judge,
        stopper: keras.callbacks.EarlyStopping | None,
        fit: Fit,
        *,
        alone: bool,
        digest: str = "",
    ) -> None:
        """Keep `fit` in `path`.

        Args:
            path: Of the file.
            judge: Knows the fit's curve.
            stopper: Early stopping, where there is one.
            fit: What is kept.
            alone: As time goes by, else only when `keep` is called.
            digest: `Proposal.digest` of what is trained; the file carries it.
        """
        super().__init__()
        self.callbacks: Callbacks = ()
        self.resumed_from = 0
        self.ended = False

        self._path = path
        self._judge = judge
        self._stopper = stopper
        self._fit = fit
        self._alone = alone
        self._digest = digest

        self._stopped_early = False
        self._stored: Mapping[str, Array] = {}
        self._resumed_rate: float | None = None
        self._kept_at = time.perf_counter()

    def resume(self, path: Path, model: keras.Model) -> None:
        """Take up what an earlier attempt kept in `path`.

        The model's state is put in now, early stopping's once training begins.

        Raises:
            ValueError: It was kept from another structure, with another batch size or of another
                proposal, or is damaged.
        """
        stored = _read_of(path, self._digest)
        with _told_as_damaged(path):
            progress = _Progress.of(stored)
        # A trial that ran out of memory goes on at half the batch: that is another training.
        if progress.batch_size != self._fit.batch_size:
            raise ValueError(f"it was trained with batches of {progress.batch_size} rows")

        check_kind(self.callbacks, stored)

        # Last of what may be refused: a model that begins anew has nothing of the file.
        _put_state(model, stored)
        self._stored = stored
        self._resumed_rate = _rate_of(model)
        self._judge.curve[:] = progress.curve
        self._judge.seconds = progress.seconds
        self.resumed_from = progress.epoch
        self.ended = progress.ended

    def on_train_begin(self, logs: Any = None) -> None:
        """Give callbacks back what they knew: their own `on_train_begin` has reset them."""
        self._kept_at = time.perf_counter()

        if "callbacks" in self._stored:
            put_state(self.callbacks, self._stored)
            if self._resumed_rate is not None:  # some set it when training begins
                self.model.optimizer.learning_rate = self._resumed_rate

        if self._stopper is not None and "stopper" in self._stored:
            vars(self._stopper).update(json.loads(str(self._stored["stopper"])))
            self._stopper.best_weights = _named(self._stored, "b")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the progress where it is time to, or where the driver wants the slot back."""
        goes_on = self._judge.answer is Answer.CONTINUE and not self._judge.diverged
        self._stopped_early = bool(self.model.stop_training) and goes_on
        if not self._alone or self._stopped_early:
            return

        # A fit that ends here leaves its result, and needs no checkpoint.
        stopped_early = self._stopper is not None and self._stopper.stopped_epoch > 0
        if stopped_early:
            return
        if self.due or self._judge.answer is Answer.STOP:
            self.keep()

    @property
    def due(self) -> bool:
        """Whether enough time has gone by since the last checkpoint."""
        return time.perf_counter() - self._kept_at >= KEEP_EVERY_S

    def keep(self, reached: int = 0) -> None:
        """Write the progress after the last epoch of the judge's curve.

        Args:
            reached: The epoch that all folds together have reached.
        """
        reason = why_not_kept(self.callbacks)
        if reason:  # the next attempt begins anew, and says so
            write_json(self._path.with_suffix(_NOT_KEPT), {"reason": reason})
            self._kept_at = time.perf_counter()
            return

        # While a fit runs, its weights are the compiled step's and those of the model are old.
        self._fit.sync()
        arrays: dict[str, Any] = {
            "epoch": np.array(int(self._judge.curve[-1]["epoch"])),
            "batch_size": np.array(self._fit.batch_size),
            "reached": np.array(reached),
            "seconds": np.array(self._judge.seconds),
            "curve": np.array(json.dumps(self._judge.curve)),
            "ended": np.array(self._stopped_early),
            _FIT: np.array(self._path.name),
            **_numbered("v", state_arrays(self._fit.model)),
        }

        if self._digest:
            arrays["proposal"] = np.array(self._digest)
        if self.callbacks:
            arrays.update(state_of(self.callbacks))
        stopper = self._stopper
        if stopper is not None and stopper.best_weights is not None:
            state = {name: getattr(stopper, name) for name in _STOPPER}
            arrays["stopper"] = np.array(json.dumps(state))
            arrays.update(_numbered("b", stopper.best_weights))

        _write(self._path, arrays)
        # Only now: on a slow disk, training would else do little but write.
        self._kept_at = time.perf_counter()


def reason_not_kept(path: Path) -> str:
    """Return why an attempt has kept nothing in `path`; "" where it said nothing."""
    stored = read_json(path.with_suffix(_NOT_KEPT))
    return str(stored.get("reason", "")) if isinstance(stored, dict) else ""


def kept_at(path: Path, digest: str = "") -> int:
    """Return the epoch that the longest of a trial's fits had reached in a `Keeper`'s file.

    Args:
        path: Of the file.
        digest: `Proposal.digest` of the trial; "": any.

    Raises:
        ValueError: It is of another trial or fold, or damaged.
    """
    stored = _read_of(path, digest)
    with _told_as_damaged(path):
        return int(stored["reached"])


def seconds_until(path: Path, digest: str = "") -> float:
    """Return the seconds of training that a fit had behind it in a `Keeper`'s file.

    Args:
        path: Of the file.
        digest: `Proposal.digest` of the trial; "": any.

    Raises:
        ValueError: It is of another trial or fold, or damaged.
    """
    stored = _read_of(path, digest)
    with _told_as_damaged(path):
        return float(stored["seconds"])


def _read_of(path: Path, digest: str) -> dict[str, Array]:
    """Return what a `Keeper`'s file holds of a trial; earlier versions said less of whose it is."""
    stored = _read(path)
    theirs = str(stored.get("proposal", ""))
    if theirs and digest and theirs != digest:
        raise ValueError("it is of other parameters")
    if str(stored.get(_FIT, path.name)) != path.name:
        raise ValueError("it is of another fold")
    return stored


def _numbered(prefix: str, arrays: list[Array]) -> dict[str, Array]:
    # Padded with zeros: names in order are arrays in order.
    return {f"{prefix}{i:05d}": array for i, array in enumerate(arrays)}


def _named(stored: Mapping[str, Array], prefix: str) -> list[Array]:
    """Return the arrays that `_numbered` has named, in their order."""
    names = [name for name in sorted(stored) if name[0] == prefix and name[1:].isdigit()]
    return [stored[name] for name in names]


def _put_state(model: keras.Model, stored: Mapping[str, Array]) -> None:
    # An optimizer has no moments before its first step; under a strategy they live on its devices.
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
    load_state(model, _named(stored, "v"))


def _rate_of(model: keras.Model) -> float | None:
    """Return the learning rate; None where a schedule of the optimizer's own decides on it."""
    rate = model.optimizer.learning_rate
    return float(rate) if isinstance(rate, keras.Variable) else None


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    # By way of memory: the file is whole or absent, while `savez` would write it bit by bit.
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def _read(path: Path) -> dict[str, Array]:
    try:
        arrays = load_arrays(path)
    except DamagedFileError as error:
        raise ValueError(f"{path.name} is damaged ({error.fault})") from error
    if arrays is None:
        raise FileNotFoundError(path)
    if "epoch" not in arrays:
        raise ValueError(f"{path.name} is damaged (it lacks 'epoch')")
    return arrays


@contextmanager
def _told_as_damaged(path: Path) -> Iterator[None]:
    """Say in a `ValueError` that an array is missing from a file, or is of another kind.

    Raises:
        ValueError: For what the block raises of it.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged ({first_line(error) or error!r})") from error


@dataclass(frozen=True, kw_only=True)
class _Progress:
    """What a `Keeper`'s file says of its fit, besides the model's state."""

    epoch: int
    batch_size: int
    seconds: float
    curve: list[dict[str, float]]
    ended: bool

    @classmethod
    def of(cls, stored: Mapping[str, Array]) -> Self:
        ended = False
        if "ended" in stored:
            ended = bool(stored["ended"])
        elif "stopper" in stored:
            ended = json.loads(str(stored["stopper"]))["stopped_epoch"] > 0
        return cls(
            epoch=int(stored["epoch"]),
            batch_size=int(stored["batch_size"]),
            seconds=float(stored["seconds"]),
            curve=list(json.loads(str(stored["curve"]))),
            ended=ended,
        )
