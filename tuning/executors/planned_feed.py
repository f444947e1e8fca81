"""`PlannedFeed`: how jobs come to workers where each slot is given what gains most there.

Between a `Placement`, which knows nothing of workers, and a `LocalExecutor`, which knows nothing of
costs. No job is sent ahead to a worker: it may belong to another one by the time it is its turn.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from tuning.executors.base import Died, Event, Finished, Raised, Reported
from tuning.executors.local_worker import LocalWorker, QueuedJob
from tuning.executors.placement.policy import Placement
from tuning.executors.turns import Turns


class PlannedFeed:
    """Gives waiting jobs to workers as a placement says, and tells it what happens.

    Attributes:
        placement: What decides.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement

    def feed(self, workers: Sequence[LocalWorker], waiting: deque[QueuedJob], turns: Turns) -> None:
        """Give idle workers the jobs that are best begun there now; takes those from `waiting`."""
        able = [worker for worker in workers if worker.takes_jobs]
        self.placement.slots = tuple(worker.slot for worker in able)
        busy = [worker for worker in workers if worker.jobs]
        idle = [worker for worker in able if not worker.jobs]
        while waiting and idle and not any(worker.jobs[0].job.alone for worker in busy):
            candidates = _candidates(waiting)
            if candidates[0].job.alone and busy:
                return
            choice = self.placement.choose(
                [worker.slot for worker in idle],
                [worker.slot for worker in busy],
                [queued.job.work for queued in candidates],
            )
            if choice is None:
                return

            worker = idle.pop(choice.slot)
            if turns.may_use(worker):  # else another search has it now
                queued = candidates[choice.job]
                waiting.remove(queued)
                worker.give(queued)
                busy.append(worker)
                self.placement.begin(queued.job.id, queued.job.work, worker.slot)

    def see(self, events: Sequence[Event]) -> None:
        """Tell the placement what has happened."""
        for event in events:
            match event:
                case Reported():
                    self.placement.report(event.job, event.report.seconds, event.report.fits)
                case Finished():
                    self.placement.end(event.job, getattr(event.value, "seconds", None))
                case Raised() | Died():
                    self.placement.end(event.job, None)

    def end_late(self, workers: Sequence[LocalWorker]) -> None:
        """End trials that would be done far earlier on the other kind; they are begun anew there.

        It is no fault of theirs: for the search they are lost, and go on from their checkpoints.
        """
        late = set(self.placement.moves())
        for worker in workers:
            running = worker.running
            if running is not None and running.job.id in late and worker.cause is None:
                detail = f"too slow on {worker.slot.name}: it goes on where it is done earlier"
                worker.end(Died(running.job.id, "lost", detail), signal.SIGKILL)


def _candidates(waiting: Sequence[QueuedJob]) -> list[QueuedJob]:
    """Return the jobs that may be begun next: one that runs alone is not overtaken."""
    if waiting[0].job.alone:
        return [waiting[0]]
    return list(takewhile(lambda queued: not queued.job.alone, waiting))
