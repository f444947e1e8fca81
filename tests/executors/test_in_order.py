"""Who is given which job where no plan says so."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tuning.executors.base import Job
from tuning.executors.placement.in_order import InOrder


@dataclass(eq=False)
class Queued:
    job: Job
    recalled: bool = False


@dataclass(eq=False)
class Place:
    jobs: deque = field(default_factory=deque)
    takes_jobs: bool = True

    @property
    def ids(self):
        return [queued.job.id for queued in self.jobs]


def recall(place, queued):
    queued.recalled = True


def feed(places, *ids, alone=(), busy=()):
    """Feed jobs of these ids; return what still waits."""
    waiting = deque(Queued(Job(id, "", alone=id in alone)) for id in ids)
    rule = InOrder(
        give=lambda place, queued: place.jobs.append(queued),
        recall=recall,
        may_use=lambda place: place not in busy,
    )
    rule.feed(places, waiting)
    return [queued.job.id for queued in waiting]


def test_each_place_has_one_job_before_any_has_two():
    places = [Place(), Place()]
    assert feed(places, *"abcde") == ["e"]
    assert [place.ids for place in places] == [["a", "c"], ["b", "d"]]


def test_a_place_that_goes_or_is_another_searchs_is_given_nothing():
    going = Place(takes_jobs=False)
    others = Place()
    assert feed([going, others], "a", busy=[others]) == ["a"]


def test_one_that_runs_alone_waits_for_all_and_all_wait_for_it():
    running = Place(deque([Queued(Job("x", ""))]))
    assert feed([running, Place()], "a", "b", alone="a") == ["a", "b"]
    places = [Place(), Place()]
    assert feed(places, "a", "b", alone="a") == ["b"]
    # On a place that goes it runs all the same.
    places[0].takes_jobs = False
    assert feed(places, "c") == ["c"]


def test_a_job_ahead_is_asked_back_once_for_a_place_that_idles():
    behind = Queued(Job("y", ""))
    full = Place(deque([Queued(Job("x", "")), behind]))
    idle = Place()
    feed([full, idle])
    assert behind.recalled
    other = Queued(Job("z", ""))
    feed([full, idle, Place(deque([Queued(Job("w", "")), other]))])
    assert not other.recalled  # the first is on its way to the idle place
