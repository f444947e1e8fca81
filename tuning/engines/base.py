"""What every engine does, whichever library proposes: `ask`, `report`, `tell`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tuning.trial import EpochReport, Pause, Proposal, TrialResult


class Engine(Protocol):
    """Who proposes. One thread calls it; trials may end in any order, several may be open at once.

    Contract: proposals lie inside the space; the same study and seed with the same order of asks,
    reports and tells give the same proposals; a failed, diverged or infeasible trial never ends or
    corrupts the search; after `Pause.EXHAUSTED` every later ask answers the same unless a trial is
    still open.
    """

    notices: tuple[str, ...]
    """What the user should know before it starts, e.g. which axes a grid has cut and what was left
    out.
    """

    def ask(self, number: int) -> Proposal | Pause:
        """Return the proposal that will carry `number`, or why there is none (`Pause`)."""

    def adopt(self, proposal: Proposal) -> bool:
        """Take `proposal` for the last ask's, whatever was proposed; return whether it can.

        An earlier run has trained it: on another CPU, or with other versions, a library may compute
        something else.
        """

    def report(self, report: EpochReport) -> bool:
        """Take one epoch of an open trial; True asks to prune it."""

    def tell(self, result: TrialResult) -> None:
        """Take how a trial ended. Called once for each proposal."""

    def artifacts(self) -> Mapping[str, str]:
        """Return files to keep with the search when it ends, e.g. `cv_results.csv`: name → text."""

    def close(self) -> None:
        """End threads; called once, also after an error."""
