"""`TrialRecorder`: stands for Optuna's `Trial` in a builder `build(trial)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from tuning.space.domains import Choice, Domain, Float, Int
from tuning.space.recorder import Recorder, Request, choice_of, original
from tuning.trial import Params

OnReport: TypeAlias = Callable[[float, int], bool]
"""Is given each value reported and its step; answers whether the trial should be pruned."""


def asks_to_prune(error: BaseException) -> bool:
    """Whether it is Optuna's `TrialPruned`, by name: Optuna is not imported here."""
    return any(kind.__name__ == "TrialPruned" for kind in type(error).__mro__)


class TrialRecorder(Recorder):
    """Answers as a `Trial` does: the methods have its names, arguments and results.

    Source: Optuna 5.0, `Trial`, and `suggest_uniform` and its kin of releases before.

    Attributes:
        number: Of the trial, where it is known.
        user_attrs, system_attrs: What the builder has set.
        reported: The values reported, by step; the first of each, as in Optuna.
        on_report: Told of these; None: nobody prunes.
    """

    def __init__(
        self,
        values: Params = MappingProxyType({}),
        *,
        fixed: Params = MappingProxyType({}),
        exploring: bool = False,
    ) -> None:
        super().__init__(values, fixed=fixed, exploring=exploring)
        self.number = 0
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self.reported: dict[int, float] = {}
        self.on_report: OnReport | None = None
        self._should_prune = False

    @property
    def params(self) -> dict[str, Any]:
        """The values told so far, by name."""
        return dict(self.answers)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> Any:
        """Return a whole number from `low` to `high`, both included."""
        return self._ask(name, Int(int(low), int(high), step=int(step), log=log))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> Any:
        """Return a number from `low` to `high`, both included."""
        return self._ask(name, Float(float(low), float(high), log=log, step=step))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of `choices`."""
        listed = list(choices)
        return original(listed, self._ask(name, choice_of(listed)))

    def suggest_uniform(self, name: str, low: float, high: float) -> Any:
        """Return a number from `low` to `high`; Optuna's old name."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> Any:
        """Return a number, equal ratios equally likely; Optuna's old name."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> Any:
        """Return a number on steps of `q`; Optuna's old name."""
        return self.suggest_float(name, low, high, step=q)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep what the builder wants to say of its trial, until it returns."""
        self.user_attrs[key] = value

    def set_system_attr(self, key: str, value: Any) -> None:
        """Keep what a callback of Optuna's says of the trial, until the builder returns."""
        self.system_attrs[key] = value

    def report(self, value: float, step: int) -> None:
        """Tell a value on the way; of a step that was told before nothing."""
        if int(step) in self.reported:
            return
        self.reported[int(step)] = float(value)
        if self.on_report is not None:
            self._should_prune = self.on_report(float(value), int(step))

    def should_prune(self) -> bool:
        """Whether the search's pruner wants the trial ended after the last report.

        Never within a builder of models: there the pruner looks at the training.
        """
        return self._should_prune

    def _ask(self, name: str, domain: Domain) -> Any:
        default = domain.values[0] if isinstance(domain, Choice) else domain.low
        return self.answer(Request(name=name, domain=domain, default=default))
