"""How a `HyperModel.fit` trains: read for our training, or carried out as it is.

Its `fit(hp, model, …)` mostly chooses the batch size, epochs, weights, or changes the rows, and
then calls `model.fit`. That call is taken down in the place of the training, which is ours to do.
What trains in any other way is called word for word instead (`tuning.builders.own_fit`).
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TAKEN = ("batch_size", "epochs", "shuffle", "class_weight", "callbacks", "verbose")
"""Arguments of `model.fit` that a `HyperModel.fit` may choose and leave the training to us."""


@dataclass(frozen=True, kw_only=True)
class FitCall:
    """How a `HyperModel.fit` would train.

    Attributes:
        x, y: What it would train on.
        settings: The other arguments of its `model.fit` by name, those that were passed on
            included.
        changed: The names of those that are not what was passed on.
        own_fit: Why it must be carried out as it is, in words; "": our training does the same.
    """

    x: Any = None
    y: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    own_fit: str = ""


class _Called(BaseException):
    """`model.fit` was called; not an `Exception`, which a user's code may catch."""


class _BeginsToTrain(BaseException):
    """A loop of the user's own takes its first step."""


@dataclass(frozen=True)
class _ModelFit:
    """One call of `model.fit`, with its arguments by name."""

    model: Any
    arguments: Mapping[str, Any]


def overrides_fit(builder: Any) -> bool:
    """Whether it is a `HyperModel` with a `fit` of its own."""
    for base in type(builder).__mro__:
        if "fit" in vars(base):
            return not base.__module__.startswith(("keras_tuner.", "kerastuner."))
    return False


def read_fit(hypermodel: Any, hp: Any, model: Any, rows: tuple[Any, Any], **passed: Any) -> FitCall:
    """Call `hypermodel.fit` up to its first `model.fit`, and return how that would train.

    Args:
        hypermodel: Its `fit(hp, model, x, y, …)` is called.
        hp: Answers it.
        model: Compiled.
        rows: x and y.
        passed: What KerasTuner would pass on: `epochs`, `callbacks`, `validation_data`.
    """
    calls: list[_ModelFit] = []

    def fit(call: _ModelFit) -> Any:
        calls.append(call)
        raise _Called

    accepted = accepted_by(hypermodel.fit, passed)
    with contextlib.suppress(_Called, _BeginsToTrain), _training_replaced(fit):
        hypermodel.fit(hp, model, *rows, **accepted)
    return _read(calls, model, rows, accepted)


def explore_fit(
    hypermodel: Any, hp: Any, model: Any, rows: tuple[Any, Any], **passed: Any
) -> FitCall:
    """Call `hypermodel.fit` to its end, to see what it asks for and how it trains.

    Nothing is trained: each `model.fit` returns at once, a loop of its own is left where it would
    change a weight. The arguments are those of `read_fit`, the rows a few. Afterwards the model is
    of no use.

    Raises:
        Whatever it raises before it trains.
    """
    calls: list[_ModelFit] = []
    histories: list[Any] = []

    def fit(call: _ModelFit) -> Any:
        calls.append(call)
        histories.append(_no_history(call.model))
        return histories[-1]

    accepted = accepted_by(hypermodel.fit, passed)
    own = ""
    returned = None
    try:
        with _training_replaced(fit):
            returned = hypermodel.fit(hp, model, *rows, **accepted)
    except _BeginsToTrain:
        own = "it trains in a loop of its own"
    except Exception as error:  # the figures of a training that was none may not be what it needs
        if not calls:
            raise
        own = f"what follows its model.fit is its own ({type(error).__name__} without training)"

    if not own and len(calls) > 1:
        own = f"it calls model.fit {len(calls)} times"
    if not own and calls and not any(returned is each for each in (None, *histories)):
        own = "it returns a value of its own"
    return FitCall(own_fit=own) if own else _read(calls, model, rows, accepted)


def accepted_by(fit: Callable[..., Any], passed: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the arguments that a function takes by name."""
    parameters = inspect.signature(fit).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(passed)
    return {name: value for name, value in passed.items() if name in parameters}


def _read(
    calls: Sequence[_ModelFit], model: Any, rows: tuple[Any, Any], passed: Mapping[str, Any]
) -> FitCall:
    """Return how the first call would train; where ours cannot do the same, why."""
    if not calls:
        return FitCall(own_fit="it trains without model.fit")

    settings = dict(calls[0].arguments)
    x = settings.pop("x", None)
    y = settings.pop("y", None)
    changed = {key for key, value in settings.items() if value is not passed.get(key)}
    beyond = sorted(changed - set(TAKEN))
    if calls[0].model is not model:
        return FitCall(own_fit="it trains another model than the one that build returned")
    if x is None or y is None:
        return FitCall(own_fit="it gives model.fit no arrays x and y")
    if beyond:
        return FitCall(own_fit=f"it calls model.fit with {', '.join(beyond)}")

    if x is not rows[0] or y is not rows[1]:
        changed.add("x, y")
    return FitCall(x=x, y=y, settings=settings, changed=frozenset(changed - {"verbose"}))


class _Zeros(dict[str, list[float]]):
    """A history's figures: any name has one, 0."""

    def __missing__(self, name: str) -> list[float]:
        return [0.0]


def _no_history(model: Any) -> Any:
    """Return what `model.fit` returns, of no training."""
    import keras

    history = keras.callbacks.History()
    history.set_model(model)
    history.epoch = [0]
    history.history = _Zeros()
    return history


@contextlib.contextmanager
def _training_replaced(fit: Callable[[_ModelFit], Any]) -> Iterator[None]:
    """Let `model.fit` call `fit`, and any step of a loop of one's own raise."""
    import keras

    signature = inspect.signature(keras.Model.fit)

    def model_fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = dict(signature.bind(self, *args, **kwargs).arguments)
        arguments.pop("self")
        return fit(_ModelFit(self, arguments))

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise _BeginsToTrain

    with (
        replaced(keras.Model, "fit", model_fit),
        replaced(keras.Model, "train_on_batch", step),
        replaced(keras.optimizers.Optimizer, "apply", step),
        replaced(keras.optimizers.Optimizer, "apply_gradients", step),
    ):
        yield


@contextlib.contextmanager
def replaced(owner: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Give a class another method meanwhile."""
    own = vars(owner).get(name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
