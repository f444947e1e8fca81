"""`DataDigests`: trials of equal data arguments must have had equal data."""

from __future__ import annotations

from typing import NamedTuple

from tuning.errors import ChangedError
from tuning.study.info import StudyInfo
from tuning.trial import Proposal, TrialResult


class _Known(NamedTuple):
    """What the data of some arguments were, and the trial that had them first."""

    digest: str
    number: int


class DataDigests:
    """What is known of the data of a search whose space holds arguments of its data function.

    Args:
        study: Names these arguments.
    """

    def __init__(self, study: StudyInfo) -> None:
        self._names = study.data_arguments
        self._known: dict[str, _Known] = {}

    def check(self, proposal: Proposal, result: TrialResult) -> None:
        """Remember a trial's data.

        Raises:
            ChangedError: An earlier trial of the same arguments had others.
        """
        if not self._names or not result.data_digest:
            return
        arguments = ", ".join(
            f"{name}={proposal.params[name]!r}" for name in self._names if name in proposal.params
        )
        known = self._known.setdefault(arguments, _Known(result.data_digest, result.number))
        if known.digest != result.data_digest:
            raise ChangedError(
                f"data({arguments}) gave trial {result.number} other rows than trial "
                f"{known.number} (digest {result.data_digest[:16]}, before {known.digest[:16]}); "
                "a data function must give the same rows at each call. Put the old ones back and "
                "run again, or use --fresh"
            )
