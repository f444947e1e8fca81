"""`InOrder`: who is given which job where no plan says so: who waits first is begun first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


class Submitted(Protocol):
    """What is needed of a job that was submitted."""

    @property
    def job(self) -> Any:
        """The `Job`."""

    @property
    def recalled(self) -> bool:
        """Whether its place was asked to give it back."""


JobT = TypeVar("JobT", bound=Submitted)


class Place(Protocol[JobT]):
    """What is needed of a slot."""

    @property
    def jobs(self) -> deque[JobT]:
        """Those it has: the first runs or is about to, a second may wait."""

    @property
    def takes_jobs(self) -> bool:
        """Whether it may be given any: it is not about to go."""


PlaceT = TypeVar("PlaceT", bound=Place[Any])


@dataclass(frozen=True, kw_only=True)
class InOrder(Generic[PlaceT, JobT]):
    """Gives the job that waits longest to the first place that is free.

    Attributes:
        give: Sends a job to a place.
        recall: Asks a place for a job back that waits there.
        may_use: Whether a place that takes jobs is ours to use just now.
    """

    give: Callable[[PlaceT, JobT], None]
    recall: Callable[[PlaceT, JobT], None]
    may_use: Callable[[PlaceT], bool] = lambda place: True

    def feed(self, places: Iterable[PlaceT], waiting: deque[JobT]) -> None:
        """Give waiting jobs to idle places, then one ahead to each; take some back for idle ones.

        The job ahead saves its place a round trip. It is not bound to it: where another place
        idles, it is recalled, comes back, and goes to that one.

        Args:
            places: All, those that take no more jobs too: what runs there counts.
            waiting: In the order of submission; loses what is given.
        """
        places = list(places)
        for depth in (0, 1):
            for place in places:
                if not _may_give(places, waiting):
                    break
                is_free = len(place.jobs) == depth and place.takes_jobs
                if is_free and self.may_use(place):
                    self.give(place, waiting.popleft())

        ahead = [(place, queued) for place in places for queued in list(place.jobs)[1:]]
        if not ahead:
            return
        idle = sum(not place.jobs and place.takes_jobs and self.may_use(place) for place in places)
        idle -= sum(queued.recalled for _, queued in ahead)
        for place, queued in ahead:
            if idle <= 0:
                break
            if not queued.recalled:
                self.recall(place, queued)
                idle -= 1


def _may_give(places: Iterable[Place[JobT]], waiting: deque[JobT]) -> bool:
    """Whether the next waiting job may go to a place: one that runs alone waits for all."""
    if not waiting:
        return False
    at_places = [queued.job for place in places for queued in place.jobs]
    if waiting[0].job.alone:
        return not at_places
    return not any(job.alone for job in at_places)
