"""`ForeignBuilder`: a builder that asks for its parameters, called by ours that are given them.

KerasTuner's `build_model(hp)` and `HyperModel`, and functions of Optuna's `trial`, are used as they
are. Neither library is imported here: a recorder stands for its object.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from tuning.errors import StudyError
from tuning.space.hp_recorder import HpRecorder
from tuning.space.recorder import Recorder
from tuning.space.trial_recorder import OnReport, TrialRecorder, asks_to_prune
from tuning.study.foreign.hypermodel_fit import (
    FitCall,
    accepted_by,
    explore_fit,
    overrides_fit,
    read_fit,
    replaced,
)
from tuning.trial import Params


class _Library(NamedTuple):
    """How a library's builders are known.

    Attributes:
        names: What the one argument is called.
        annotation: The last word of its annotation.
        recorder: Stands for the library's object.
    """

    names: tuple[str, ...]
    annotation: str
    recorder: type[HpRecorder] | type[TrialRecorder]


_LIBRARIES = (
    _Library(("hp", "hps", "hyperparameters"), "HyperParameters", HpRecorder),
    _Library(("trial",), "Trial", TrialRecorder),
)


class ForeignBuilder:
    """Takes a point's values by name, as our builders do, and answers another library's with them.

    Attributes:
        inner: The user's function or `HyperModel`.
        notices: What the last call asked for that is not in the space, in words.
    """

    asks_for_parameters = True

    def __init__(self, inner: Any, argument: str, recorder: type[Any]) -> None:
        self.inner = inner
        self._asked: Any = None  # the recorder of the last call, which `fit` goes on with
        self.notices: tuple[str, ...] = ()
        self._number = 0
        self._on_report: OnReport | None = None
        self._argument = argument
        self._recorder = recorder
        # What a reader, a pickle and an error message want to know of a function.
        self.__name__ = str(getattr(inner, "__name__", type(inner).__name__))
        self.__qualname__ = str(getattr(inner, "__qualname__", type(inner).__qualname__))
        self.__module__ = str(getattr(inner, "__module__", type(inner).__module__))
        self.__doc__ = inspect.getdoc(inner)

    def __call__(self, **values: Any) -> Any:
        """Return what the builder returns at a point: its values, and arguments from the data."""
        arguments, point = self._split(values)
        recorder = self._asked = self._recorder(point)
        if isinstance(recorder, TrialRecorder):
            recorder.number = self._number
            recorder.on_report = self._on_report
        result = self._call(recorder, arguments)
        self.notices = _notices(recorder)
        return _compiled(result) if self.has_fit else result

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.__qualname__})"

    @property
    def __signature__(self) -> inspect.Signature:
        """Its arguments besides `hp` or `trial`, and any parameter of its space."""
        point = inspect.Parameter("values", inspect.Parameter.VAR_KEYWORD)
        named = [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(self._function).parameters.items()
            if name != self._argument and parameter.kind is not parameter.VAR_KEYWORD
            if parameter.kind is not parameter.VAR_POSITIONAL
        ]
        return inspect.Signature([*named, point])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_asked": None, "_number": 0, "_on_report": None}

    def __getattr__(self, name: str) -> Any:
        # A builder without a `fit` of its own has neither: the study's training stands.
        if name == "read_fit" and self.has_fit:
            return self._read_fit
        if name == "own_fit" and self.has_fit:
            return self._own_fit
        raise AttributeError(name)

    @contextlib.contextmanager
    def during(self, number: int, on_report: OnReport | None = None) -> Iterator[None]:
        """Let calls within be those of a trial: its number, and who is told what it reports."""
        self._number = number
        self._on_report = on_report
        try:
            yield
        finally:
            self._number = 0
            self._on_report = None

    @property
    def has_fit(self) -> bool:
        """Whether it is a `HyperModel` with a `fit` of its own."""
        return "inner" in self.__dict__ and overrides_fit(self.inner)

    def _read_fit(self, model: Any, rows: tuple[Any, Any], **passed: Any) -> FitCall:
        """Return how its `fit` would train the model of the last call."""
        call = read_fit(self.inner, self._asked, model, rows, **passed)
        self.notices = _notices(self._asked)
        return call

    def _own_fit(self, model: Any, *rows: Any, **passed: Any) -> Any:
        """Call its `fit` as KerasTuner does for the model of the last call; return its result."""
        fit = self.inner.fit
        result = fit(self._asked, model, *rows, **accepted_by(fit, passed))
        self.notices = _notices(self._asked)
        return result

    def ask(
        self,
        values: Params,
        *,
        fixed: Params,
        in_full: bool,
        rows: tuple[Any, Any] | None = None,
    ) -> Recorder:
        """Run the builder to see what it asks for, and return the recorder.

        Args:
            values: A point, or some of it.
            fixed: Arguments from the data, and values that are not searched.
            in_full: Whether it may train a model. Else it is left where it begins to.
            rows: Some x and y, for one that has a `fit` of its own.
        """
        arguments, given = self._split(fixed)
        recorder: Recorder = self._recorder(values, fixed=given, exploring=True)
        try:
            with contextlib.nullcontext() if in_full else _left_at_training():
                model = self._call(recorder, arguments)
        except Exception as error:
            if not asks_to_prune(error):
                raise
            return recorder  # what it asked for until then is its space here
        if rows is not None:
            self._explore_fit(recorder, _compiled(model), rows)
        return recorder

    def _explore_fit(self, recorder: Recorder, model: Any, rows: tuple[Any, Any]) -> None:
        call = explore_fit(
            self.inner, recorder, model, rows, epochs=1, callbacks=[], validation_data=rows
        )
        recorder.own_fit = call.own_fit
        recorder.fit_changes = frozenset(
            name
            for name in call.changed
            if name not in ("batch_size", "epochs")
            or recorder.answers.get(name) != call.settings[name]
        )

    @property
    def _function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self.inner, "build", self.inner)
        return function

    def _call(self, recorder: Any, arguments: Mapping[str, Any]) -> Any:
        return self._function(**{self._argument: recorder}, **arguments)

    def _split(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the builder's own arguments, and the answers it is given."""
        named = set(self.__signature__.parameters) - {"values"}
        arguments = {name: value for name, value in values.items() if name in named}
        return arguments, {name: value for name, value in values.items() if name not in named}


def _compiled(model: Any) -> Any:
    """Return the model; one that is left to its own `fit` to compile with an optimizer."""
    if getattr(model, "compiled", True) is False:
        model.compile(optimizer="sgd")
    return model


def _notices(recorder: Recorder) -> tuple[str, ...]:
    return tuple(
        f"{name} is asked for here, but was not discovered: it has its default, {value!r}"
        for name, value in recorder.undiscovered.items()
    )


def trial_of(
    builder: Any, number: int, on_report: OnReport | None = None
) -> contextlib.AbstractContextManager[None]:
    """Let a builder's calls within be those of a trial; nothing to do for one of ours."""
    if isinstance(builder, ForeignBuilder):
        return builder.during(number, on_report)
    return contextlib.nullcontext()


def adapted(builder: Any, decided: Collection[str] = ()) -> Callable[..., Any]:
    """Return a builder that takes its parameters by name: the same one, or an adapter.

    Args:
        builder: Whatever a study names as its builder.
        decided: What the study searches or fixes: an argument of these is a value like any other.

    Raises:
        StudyError: A class of KerasTuner's `HyperModel` that cannot be made without arguments.
    """
    if isinstance(builder, ForeignBuilder):
        return builder
    if _is_hypermodel(builder):
        model = _made(builder) if isinstance(builder, type) else builder
        first = next(iter(inspect.signature(model.build).parameters))
        if hasattr(model, "_build"):  # KerasTuner's wrapper takes `hp` and all else
            first = next(iter(inspect.signature(model._build).parameters))
        return ForeignBuilder(model, first, HpRecorder)

    found = _asking_argument(builder)
    if found is None or found[0] in decided:
        return builder  # type: ignore[no-any-return]
    return ForeignBuilder(builder, *found)


def _made(kind: type) -> Any:
    try:
        return kind()
    except TypeError as error:
        raise StudyError(
            f"builder {kind.__name__} is a class that cannot be made without arguments ({error}); "
            f"give an object: builder={kind.__name__}(…)"
        ) from error


def _is_hypermodel(builder: Any) -> bool:
    """Whether it is KerasTuner's `HyperModel`, by name: importing it would import TensorFlow."""
    kind = builder if isinstance(builder, type) else type(builder)
    return any(
        base.__name__ == "HyperModel" and base.__module__.partition(".")[0].startswith("keras")
        for base in kind.__mro__
    )


def _asking_argument(builder: Any) -> tuple[str, type[Any]] | None:
    """Return which argument of a function stands for a library's object, and its recorder."""
    if not callable(builder) or isinstance(builder, type):
        return None
    try:
        parameters = inspect.signature(builder).parameters.values()
    except (TypeError, ValueError):
        return None
    for parameter in parameters:
        is_given = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if is_given or parameter.default is not parameter.empty:
            continue
        annotation = parameter.annotation
        word = str(getattr(annotation, "__name__", annotation)).split(".")[-1].strip("'\" ")
        for library in _LIBRARIES:
            if word == library.annotation or parameter.name in library.names:
                return parameter.name, library.recorder
    return None


class _BeginsToTrain(BaseException):
    """A builder calls `fit`: what it asked for before is its space."""


@contextlib.contextmanager
def _left_at_training() -> Iterator[None]:
    """Leave a function where it would train a Keras model; nothing is trained."""
    # Where workers and engines run it is there; elsewhere its import would cost seconds.
    keras: Any = sys.modules.get("keras")
    if keras is None:
        yield
        return

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise _BeginsToTrain

    with contextlib.suppress(_BeginsToTrain), replaced(keras.Model, "fit", fit):
        yield
