"""What every executor must do; each one's tests inherit `ExecutorContract`."""

import itertools
import threading
import time

import pytest

from tuning.executors.base import Died, Finished, Job, Raised, Reported, Started
from tuning.trial import Answer

JOBS = "tests.executors.jobs"
ENDS = (Finished, Raised, Died)


def job(name, *args, **options):
    return Job(options.pop("id", name), f"{JOBS}:{name}", args, **options)


def run(executor, *jobs, answer=lambda event: Answer.CONTINUE, seconds=20.0):
    """Submit `jobs`, answer their reports, and return all events until each job has ended."""
    for each in jobs:
        executor.submit(each)
    wanted = {each.id for each in jobs if each.wants_answer}
    events = []
    open_ = {each.id for each in jobs}
    until = time.monotonic() + seconds
    while open_:
        assert time.monotonic() < until, f"still open: {open_}, so far: {events}"
        for event in executor.events(0.5):
            events.append(event)
            if isinstance(event, Reported) and event.job in wanted:
                executor.answer(event.job, answer(event))
            if isinstance(event, ENDS):
                assert len(ends_of(event.job, events)) == 1
                open_.discard(event.job)
    return events


def ends_of(job_id, events):
    return [event for event in events if isinstance(event, ENDS) and event.job == job_id]


def ends(events):
    return {event.job: event for event in events if isinstance(event, ENDS)}


def epochs(events):
    return [event.report.epoch for event in events if isinstance(event, Reported)]


class ExecutorContract:
    """Subclasses give the fixture `executor`, with at least one slot."""

    def test_each_of_many_jobs_starts_and_ends_once(self, executor):
        events = run(executor, *(job("double", n, id=f"j{n}") for n in range(20)))
        for n in range(20):
            started, finished = (event for event in events if event.job == f"j{n}")
            assert isinstance(started, Started)
            assert finished == Finished(f"j{n}", 2 * n)

    def test_reports_arrive_in_order_between_start_and_end(self, executor):
        events = run(executor, job("train", 5))
        assert [type(event) for event in events] == [Started, *[Reported] * 5, Finished]
        assert epochs(events) == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize("answer", [Answer.PRUNE, Answer.STOP])
    def test_an_answer_acts_at_the_epoch_it_is_for(self, executor, answer):
        events = run(
            executor,
            job("train", 9, wants_answer=True),
            answer=lambda event: answer if event.report.epoch == 3 else Answer.CONTINUE,
        )
        assert events[-1].value == [Answer.CONTINUE, Answer.CONTINUE, answer]
        assert all(isinstance(each, Answer) for each in events[-1].value)

    def test_a_job_that_raises_leaves_the_worker_usable(self, executor):
        ended = ends(run(executor, job("fail"), job("leave", 3), job("double", 4)))
        assert ended["fail"].error == "ValueError: no such luck"
        assert "in fail" in ended["fail"].traceback
        assert ended["leave"].error == "SystemExit: 3"
        assert ended["double"].value == 8

    def test_an_error_that_ends_the_run_is_told_with_its_exit_code(self, executor):
        assert ends(run(executor, job("end_the_run")))["end_the_run"].exit_code == 3

    def test_a_job_that_does_not_exist_raises(self, executor):
        assert "nothing_here" in ends(run(executor, job("nothing_here")))["nothing_here"].error

    def test_a_running_job_is_cancelled(self, executor):
        executor.submit(job("train", 1000, wants_answer=True))
        events = []
        while not epochs(events):
            events += executor.events(1.0)
        executor.cancel("train")
        events = [*executor.events(5.0), *run(executor, job("double", 1))]
        assert isinstance(ends(events)["train"], Died)

    def test_a_waiting_job_is_cancelled_and_never_starts(self, executor):
        for number in range(2 * len(executor.slots) + 1):
            executor.submit(job("sleep", 0.1, id=f"s{number}"))
        executor.submit(job("double", 1, id="victim"))
        executor.cancel("victim")
        events = run(executor, job("double", 2, id="last"))
        events += executor.events(0.0)
        assert [event for event in events if event.job == "victim"] == [
            Died("victim", "cancelled", "cancelled")
        ]

    def test_room_counts_one_running_and_one_waiting_for_each_slot(self, executor):
        room = executor.room
        assert room >= 2
        executor.submit(job("double", 1))
        assert executor.room == room - 1
        run(executor, job("double", 2, id="other"))


class ResizeContract:
    """Of executors whose slots may change while they work.

    Subclasses give the fixtures `executor`, which has the slots of `slots`, and `slots`: two.
    """

    def test_a_job_on_a_slot_that_goes_stops_at_its_report_and_ends_moved(self, executor, slots):
        executor.submit(job("train_until_stopped", 1000))
        events = []
        while not epochs(events):
            events += executor.events(1.0)
        executor.resize([])
        until = time.monotonic() + 10.0
        while not ends(events) and time.monotonic() < until:
            events += executor.events(0.5)
        assert ends(events)["train_until_stopped"].cause == "moved"
        assert executor.slots == ()

    def test_what_waits_without_a_slot_starts_when_there_is_one_again(self, executor, slots):
        executor.resize([])
        executor.submit(job("double", 4))
        assert executor.events(0.3) == []
        executor.resize(slots[1:])
        assert ends(run(executor, job("double", 5, id="other")))["other"].value == 10
        assert len(executor.slots) == 1

    def test_a_job_that_had_not_begun_is_not_lost_with_its_slot(self, executor, slots):
        for number in range(6):
            executor.submit(job("sleep", 0.2, id=f"s{number}"))
        events = executor.events(5.0)
        executor.resize(slots[:1])
        until = time.monotonic() + 20.0
        while len(ends(events)) < 6 and time.monotonic() < until:
            events += executor.events(0.5)
        assert {type(end) for end in ends(events).values()} == {Finished}
        assert len(executor.slots) == 1


class TurnsContract:
    """Of executors that share devices with others; subclasses give the fixture `open_executor`.

    It opens one executor after the other, all on one slot.
    """

    N_JOBS = 6

    def test_executors_on_one_slot_take_turns_by_job_and_never_run_together(self, open_executor):
        spans = share_one_slot(open_executor, n_executors=2, n_jobs=self.N_JOBS)
        assert len(spans) == 2 * self.N_JOBS
        check_turns(spans)

    def test_an_executor_alone_goes_on_without_a_break(self, open_executor):
        with open_executor() as executor:
            ended = ends(run(executor, *(job("where", id=f"w{n}") for n in range(8))))
        assert len({end.value["pid"] for end in ended.values()}) == 1


def share_one_slot(open_executor, *, n_executors, n_jobs):
    """Have executors with `n_jobs` each share a slot; return (begin, end, executor) in order."""
    spans = []
    errors = []

    def drive(number):
        try:
            with open_executor() as executor:
                jobs = [job("span", 0.03, id=f"s{n}") for n in range(n_jobs)]
                ended = ends(run(executor, *jobs, seconds=120.0)).values()
                spans.extend((*event.value, number) for event in ended)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(n_executors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return sorted(spans)


def check_turns(spans):
    """Nobody runs beside another, and nobody who has jobs left is passed by more than his turn."""
    for (_, end, _), (begin, _, _) in itertools.pairwise(spans):
        assert end <= begin
    order = [number for _, _, number in spans]
    everybody = set(order)
    # The first and the last turns may be of one alone, who came sooner or had to begin later.
    first = max(order.index(number) for number in everybody)
    last = min(len(order) - 1 - order[::-1].index(number) for number in everybody)
    assert last - first >= len(order) / 2, order
    for number in everybody:
        places = [place for place in range(first, last + 1) if order[place] == number]
        gaps = [after - before for before, after in itertools.pairwise(places)]
        # A job that is under way to its worker when another comes in line is run first.
        assert max(gaps, default=1) <= 2 * len(everybody), (order, number)
