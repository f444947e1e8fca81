"""Which arguments a builder takes, and where each of them comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from tuning.space.space import Space
from tuning.storage.secrets import revealed
from tuning.trial import Params

Builder: TypeAlias = Callable[..., Any]
OfOneOutput: TypeAlias = Literal["balanced"] | Mapping[int | str, float] | None
"""None, "balanced", or the weight of each class by its number or its name."""
ClassWeight: TypeAlias = OfOneOutput | Mapping[str, OfOneOutput]
"""That of the one output, or of several by the output's name; "balanced" counts for all."""

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
FIT_PARAMETERS = ("batch_size", "epochs", "patience", "class_weight")
"""Parameters of the training, which may be searched and which a builder need not take."""
CALLBACK_ARGUMENTS = (*FIT_PARAMETERS, "steps_per_epoch", "folder")
"""What `Study.callbacks` may name besides parameters: settings of the fit, its steps an epoch, and
a folder of the fit's own for what its callbacks write.
"""
FROM_DATA = ("input_shape", "task", "n_outputs")
"""Builder arguments that are filled in from the data."""
SCIKERAS = ("meta", "compile_kwargs")
"""Arguments that SciKeras fills, and a study too: facts of the data, and nothing on compiling."""


class _Fields(Protocol):
    """What of a study is read here; `StudyFields`, which needs this module, has it."""

    @property
    def builder(self) -> Builder: ...
    @property
    def data(self) -> Callable[..., Any]: ...
    @property
    def fixed(self) -> Mapping[str, Any]: ...
    @property
    def callbacks(self) -> Callable[..., Any] | None: ...
    @property
    def gpus_per_trial(self) -> int: ...
    @property
    def batch_size_is(self) -> str: ...


class SplitParams(NamedTuple):
    """A point of the space, by who takes which of its values.

    Attributes:
        builder: The builder's keyword arguments.
        fit: The settings of the training, `FIT_PARAMETERS`; the batch size is that of a step, over
            all GPUs of the trial.
        data: The data function's keyword arguments.
        callbacks: Those keyword arguments of the study's `callbacks` that are known before a fit.
    """

    builder: dict[str, Any]
    fit: dict[str, Any]
    data: dict[str, Any]
    callbacks: dict[str, Any]

    @property
    def batch_size(self) -> int:
        """Rows a step."""
        return int(self.fit["batch_size"])

    @property
    def epochs(self) -> int:
        """Most epochs of a whole trial."""
        return int(self.fit["epochs"])

    @property
    def patience(self) -> int | None:
        """Epochs without improvement that end the training; None: it goes to its end."""
        value: int | None = self.fit["patience"]
        return value

    @property
    def class_weight(self) -> ClassWeight:
        """As the study or the point has it; see `tuning.scoring.class_weights`."""
        value: ClassWeight = self.fit["class_weight"]
        return value


class NamesTaken(NamedTuple):
    """What a builder takes by name: `names`, and with `**kwargs` any other."""

    names: frozenset[str]
    any_name: bool

    def takes(self, name: str) -> bool:
        """Whether a parameter of this name is an argument; a fit setting only where it is named."""
        return name in self.names or (self.any_name and name not in FIT_PARAMETERS)


def names_taken(builder: Builder) -> NamesTaken:
    """Return the names of the arguments that a builder takes by name."""
    parameters = inspect.signature(builder).parameters.values()
    names = {
        parameter.name
        for parameter in parameters
        if parameter.kind is not parameter.POSITIONAL_ONLY
    }
    # One that asks for its parameters may ask for these too.
    if getattr(builder, "asks_for_parameters", False):
        names.update(FIT_PARAMETERS)
    return NamesTaken(
        names=frozenset(names),
        any_name=any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters),
    )


def data_names(data: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the arguments that a data function names."""
    try:
        parameters = inspect.signature(data).parameters.values()
    except (TypeError, ValueError):  # a builtin has no signature
        return frozenset()
    return frozenset(parameter.name for parameter in parameters if parameter.kind in _BY_NAME)


def names_needed(builder: Builder) -> list[str]:
    """Return the names of a function's arguments that have no default, in their order."""
    return [
        parameter.name
        for parameter in inspect.signature(builder).parameters.values()
        if parameter.kind in _BY_NAME and parameter.default is parameter.empty
    ]


def epochs_of(params: Params, space: Space, otherwise: int) -> int:
    """Return the epochs of a point: its own where they are searched and exist there."""
    if "epochs" not in space:
        return otherwise  # a builder's own argument of this name, perhaps
    return int(params.get("epochs", otherwise))


def split_params(study: _Fields, params: Params) -> SplitParams:
    """Split a point of a study's space by who takes which of its values.

    A name that several take goes to all of them. Where the builder has a default of its own for
    `epochs`, `patience` or `class_weight` and the space has none, that default stays.
    """
    settings = {name: getattr(study, name) for name in FIT_PARAMETERS}
    needed = [name for name in names_needed(study.builder) if name in settings]
    usual = {name: settings[name] for name in ("batch_size", *needed)}
    values = {**usual, **study.fixed, **params}

    taken = names_taken(study.builder)
    to_data = data_names(study.data)
    for_builder = {}
    for name, value in values.items():
        # With `**kwargs` a fit setting that is fixed is meant for the builder.
        is_extra = taken.any_name and name in study.fixed and name != "batch_size"
        # What the data function names is not for a builder that only takes any name.
        is_taken = (taken.takes(name) or is_extra) and name not in to_data
        if name in taken.names or is_taken:
            for_builder[name] = value
    searched = {name: params[name] for name in FIT_PARAMETERS if name in params}
    fit = {**settings, "batch_size": values["batch_size"], **searched}
    if study.batch_size_is == "per_replica":
        fit["batch_size"] *= study.gpus_per_trial
    return SplitParams(
        builder=revealed(for_builder),
        fit=fit,
        data={name: value for name, value in values.items() if name in to_data},
        callbacks=_for_callbacks(study, {**study.fixed, **params, **fit}),
    )


def _for_callbacks(study: _Fields, values: Params) -> dict[str, Any]:
    taken = names_of_callbacks(study)
    named = {name: value for name, value in values.items() if taken.any_name or name in taken.names}
    return revealed(named)


def names_of_callbacks(study: _Fields) -> NamesTaken:
    """Return what a study's `callbacks` takes by name; nothing where there is no such function."""
    if not callable(study.callbacks):
        return NamesTaken(frozenset(), any_name=False)
    return names_taken(study.callbacks)
