"""What a `HyperModel.fit` would call `model.fit` with: read, not trained.

Its `fit(hp, model, …)` mostly chooses the batch size, epochs, weights, or changes the rows, and
then calls `model.fit`. The call is taken down in the place of the training, which is ours to do.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuning.errors import StudyError

TAKEN = ("batch_size", "epochs", "shuffle", "class_weight", "callbacks", "verbose")
"""Arguments of `model.fit` that a `HyperModel.fit` may choose."""


@dataclass(frozen=True, kw_only=True)
class FitCall:
    """One call of `model.fit`.

    Attributes:
        x, y: What it would train on.
        settings: Its other arguments by name, those that were passed on included.
        changed: The names of those that are not what was passed on.
    """

    x: Any
    y: Any
    settings: Mapping[str, Any]
    changed: frozenset[str]


class _Called(BaseException):
    """`model.fit` was called; not an `Exception`, which a user's code may catch."""

    def __init__(self, model: Any, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.arguments = arguments


def overrides_fit(builder: Any) -> bool:
    """Whether it is a `HyperModel` with a `fit` of its own."""
    for base in type(builder).__mro__:
        if "fit" in vars(base):
            return not base.__module__.startswith(("keras_tuner.", "kerastuner."))
    return False


def read_fit(hypermodel: Any, hp: Any, model: Any, rows: tuple[Any, Any], **passed: Any) -> FitCall:
    """Call `hypermodel.fit` up to its call of `model.fit`, and return that.

    Args:
        hypermodel: Its `fit(hp, model, x, y, …)` is called.
        hp: Answers it.
        model: Compiled.
        rows: x and y.
        passed: What KerasTuner would pass on: `epochs`, `callbacks`, `validation_data`.

    Raises:
        StudyError: It trains in another way, or with arguments that our training does not take.
    """
    name = f"{type(hypermodel).__name__}.fit"
    accepted = _accepted(hypermodel.fit, passed)
    try:
        with _fit_replaced():
            hypermodel.fit(hp, model, *rows, **accepted)
    except _Called as call:
        return _checked(name, call, model, rows, accepted)
    raise StudyError(
        f"{name} trains without model.fit; let it call model.fit, "
        "or put what it does into the model's train_step"
    )


def _accepted(fit: Any, passed: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(fit).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(passed)
    return {name: value for name, value in passed.items() if name in parameters}


def _checked(
    name: str, call: _Called, model: Any, rows: tuple[Any, Any], passed: Mapping[str, Any]
) -> FitCall:
    settings = dict(call.arguments)
    x = settings.pop("x", None)
    y = settings.pop("y", None)
    faults = []
    if call.model is not model:
        faults.append(f"{name} trains another model than the one that build returned")
    if x is None or y is None:
        faults.append(f"{name} must call model.fit(x, y, …) with arrays")
    changed = {key for key, value in settings.items() if value is not passed.get(key)}
    faults += [
        f"{name} calls model.fit with {key}, which is the study's to say; "
        f"it may choose: {', '.join(TAKEN)}, and change x and y"
        for key in sorted(changed - set(TAKEN))
    ]
    if faults:
        raise StudyError(faults)
    if x is not rows[0] or y is not rows[1]:
        changed.add("x, y")
    return FitCall(x=x, y=y, settings=settings, changed=frozenset(changed - {"verbose"}))


@contextlib.contextmanager
def _fit_replaced() -> Iterator[None]:
    import keras

    model: Any = keras.Model
    signature = inspect.signature(model.fit)
    own = vars(model).get("fit")

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = dict(signature.bind(self, *args, **kwargs).arguments)
        arguments.pop("self")
        raise _Called(self, arguments)

    model.fit = fit
    try:
        yield
    finally:
        if own is None:
            del model.fit
        else:
            model.fit = own
