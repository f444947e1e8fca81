"""Boxes drawn at random: is each trial planned onto the right kind of slot?

`python -m benchmarks.placement --boxes 1000`: for each box (cores, GPUs, their speeds) and each
study (networks, rows, epochs, trials) the time of a search whose slots are planned while it runs,
against all trials on CPU cores, all on GPUs, and the best sharing that somebody finds who knows
each trial's seconds beforehand. No trial is trained: executors pretend the speeds, on a clock of
their own. What pretends nothing is the code that plans.

A plan is right where the search ends at most `RIGHT` later than the best of these three.
What planning costs is the same search by the same rules, planned by who knows all seconds.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tuning.executors.devices.slot import Kind, Slot
from tuning.executors.placement.model import KINDS, Cost, Costs
from tuning.executors.placement.policy import Placement
from tuning.executors.placement.work import Work
from tuning.space.domains import Choice, Float, Int

RIGHT = 1.05
SHORTEST_S = 600.0
"""Searches that the best way does in less are drawn again: nothing is to be planned there."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box, and what it makes of a step.

    Attributes:
        cores, gpus: How many.
        feeding: Cores that feed each GPU.
        launch_s: Of a step on a GPU before it computes anything, 50 to 300 µs.
        gpu_flops: A second, of a GPU.
        native_s, native_flops: Of a step in machine code on a core, and operations a second.
        graph_s, graph_flops: The same of a compiled graph on a core.
        gpu_setup_s, native_setup_s, graph_setup_s: Before the first epoch.
    """

    cores: int
    gpus: int
    feeding: int
    launch_s: float
    gpu_flops: float
    native_s: float
    native_flops: float
    graph_s: float
    graph_flops: float
    gpu_setup_s: float
    native_setup_s: float
    graph_setup_s: float

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Its slots: all GPUs, and all cores."""
        gpus = [
            Slot(
                f"GPU-{i}",
                {"CUDA_VISIBLE_DEVICES": f"GPU-{i}"},
                cores=tuple(range(i * self.feeding, (i + 1) * self.feeding)),
            )
            for i in range(self.gpus)
        ]
        cores = [
            Slot(f"cpu:{i}", {"CUDA_VISIBLE_DEVICES": "-1"}, cores=(i,)) for i in range(self.cores)
        ]
        return (*gpus, *cores)

    def cost(self, kind: Kind, params: Mapping[str, Any], rows: int) -> Cost:
        """Return what a trial takes there."""
        conv = params["body"] == "conv"
        if conv:
            # 9 weights a filter at each of 28 x 28 places, halved with each layer.
            filters = params["filters"]
            flops = sum(
                2 * 9 * (784 / 4**i) * filters**2 * 2**i for i in range(params["n_hidden"] + 1)
            )
        else:
            flops = 2.0 * params["n_neurons"] * (64 + params["n_neurons"] * params["n_hidden"])
        flops *= 3.0 * params["batch_size"]
        steps = math.ceil(rows / params["batch_size"])
        layers = 1 + params["n_hidden"]

        if kind == "gpu":
            step_s = self.launch_s * (0.7 + 0.3 * layers) + flops / self.gpu_flops
            return Cost(self.gpu_setup_s, steps * step_s)
        if conv or params["optimizer"] == "lion":  # what machine code cannot train
            step_s = self.graph_s * (0.7 + 0.3 * layers) + flops / self.graph_flops
            return Cost(self.graph_setup_s, steps * step_s)
        step_s = self.native_s * layers + flops / self.native_flops
        return Cost(self.native_setup_s, steps * step_s)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial as it is: its seconds on either kind are known to nobody who plans.

    Attributes:
        work: What is told of it.
        epochs: It trains before it stops.
        costs: By kind.
    """

    work: Work
    epochs: int
    costs: Mapping[Kind, Cost]

    def seconds(self, kind: Kind) -> float:
        """Return the seconds it takes on a kind of slot."""
        return self.costs[kind].seconds(self.epochs)


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is searched.

    Attributes:
        domains: Parameters by name.
        trials: In the order in which they are asked for.
        open_per_slot: See `StudyInfo.open_per_slot`.
    """

    domains: Mapping[str, Any]
    trials: Sequence[Trial]
    open_per_slot: int


def draw_box(rng: np.random.Generator) -> Box:
    """Return a box of 4 to 64 cores and 1 to 8 GPUs."""
    cores = int(rng.choice([4, 6, 8, 12, 16, 24, 32, 48, 64]))
    gpus = min(int(rng.choice([1, 1, 1, 2, 4, 8])), cores // 2)
    return Box(
        cores=cores,
        gpus=gpus,
        feeding=max(1, min(2, cores // (2 * gpus))),
        launch_s=_log_uniform(rng, 50e-6, 300e-6),
        gpu_flops=_log_uniform(rng, 2e12, 3e13),
        native_s=_log_uniform(rng, 2e-6, 1e-5),
        native_flops=_log_uniform(rng, 2e9, 3e10),
        graph_s=_log_uniform(rng, 80e-6, 400e-6),
        graph_flops=_log_uniform(rng, 5e9, 6e10),
        gpu_setup_s=_log_uniform(rng, 2.0, 8.0),
        native_setup_s=_log_uniform(rng, 0.05, 0.5),
        graph_setup_s=_log_uniform(rng, 1.0, 3.0),
    )


def draw_study(rng: np.random.Generator, box: Box) -> Study:
    """Return a study of plain networks, of convolutional ones, or of both."""
    largest = int(_log_uniform(rng, 30, 3000))
    bodies = (("plain",), ("conv",), ("plain", "conv"))[int(rng.integers(3))]
    domains: dict[str, Any] = {
        "body": Choice(*bodies),
        "n_hidden": Int(1, int(rng.integers(2, 6))),
        "n_neurons": Int(1, largest, log=bool(rng.integers(2))),
        "filters": Int(4, int(rng.integers(8, 65))),
        "optimizer": Choice(*(("sgd", "lion") if rng.integers(3) == 0 else ("sgd",))),
        "batch_size": Choice(16, 32, 64, 128),
        "lr": Float(1e-4, 1e-1, log=True),
    }
    rows = int(_log_uniform(rng, 1e3, 1e5))
    epochs = int(rng.integers(5, 51))
    n_trials = int(_log_uniform(rng, 40, 400))
    trials = []
    for number in range(n_trials):
        params = {name: domain.sample(rng) for name, domain in domains.items()}
        noise = math.exp(rng.normal(0.0, 0.05))
        costs = {}
        for kind in ("cpu", "gpu"):
            cost = box.cost(kind, params, rows)
            costs[kind] = cost._replace(epoch_s=cost.epoch_s * noise)
        work = Work(key=str(number), params=params, epochs=epochs, to_come=n_trials - number - 1)
        trained = max(1, round(epochs * rng.uniform(0.4, 1.0)))
        trials.append(Trial(work=work, epochs=trained, costs=costs))  # type: ignore[arg-type]
    return Study(domains=domains, trials=trials, open_per_slot=int(rng.integers(1, 3)))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


# --- the ways to run a study ---


def alone_s(study: Study, kind: Kind, n_slots: int) -> float:
    """Return the seconds of a search on slots of one kind."""
    ends = [0.0] * n_slots
    for trial in study.trials:
        heapq.heapreplace(ends, ends[0] + trial.seconds(kind))
    return max(ends)


def split_s(study: Study, box: Box) -> float:
    """Return the seconds of the best sharing that knows all seconds beforehand.

    Trials run on a GPU from a certain gain on, the best one of 30, strictly, or also on the other
    kind where that is done with them earlier. As many trials are open at a time as ever, for
    an engine is not asked for all at once.
    """
    slots: dict[Kind, int] = {"cpu": box.cores - box.gpus * box.feeding, "gpu": box.gpus}
    gains = sorted(trial.seconds("cpu") / trial.seconds("gpu") for trial in study.trials)
    limits = gains[:: max(1, len(gains) // 30)]
    return min(
        _shared_s(study, slots, limit, strict=strict)
        for limit in limits
        for strict in (True, False)
    )


def _shared_s(study: Study, slots: Mapping[Kind, int], limit: float, *, strict: bool) -> float:
    """Return the seconds of a search whose trials run on GPUs from a gain on."""
    most = study.open_per_slot * sum(slots.values())
    free = dict(slots)
    coming = list(study.trials)[::-1]
    waiting: dict[Kind, list[Trial]] = {"cpu": [], "gpu": []}
    running: list[tuple[float, int, Kind]] = []
    now = 0.0
    order = itertools.count()

    def begin(trial: Trial, kind: Kind) -> None:
        free[kind] -= 1
        heapq.heappush(running, (now + trial.seconds(kind), next(order), kind))

    def last_is_earlier_on(kind: Kind, other: Kind) -> bool:
        ahead_s = sum(end - now for end, _, where in running if where == other)
        ahead_s += sum(trial.seconds(other) for trial in waiting[other])
        return waiting[other][-1].seconds(kind) <= ahead_s / slots[other]

    while coming or running or any(waiting.values()):
        while coming and len(running) + sum(map(len, waiting.values())) < most:
            trial = coming.pop()
            gains_here = trial.seconds("cpu") >= limit * trial.seconds("gpu")
            waiting["gpu" if gains_here else "cpu"].append(trial)
        for kind in KINDS:
            other = KINDS[kind == "cpu"]
            while free[kind] and waiting[kind]:
                begin(waiting[kind].pop(0), kind)
            while free[kind] and not strict and waiting[other] and last_is_earlier_on(kind, other):
                begin(waiting[other].pop(), kind)
        if not running:  # strictly none can begin: no slot of its kind
            return math.inf
        now, _, kind = heapq.heappop(running)
        free[kind] += 1
    return now


@dataclass(order=True)
class _Happening:
    at: float
    order: int
    word: str = field(compare=False)
    job: str = field(compare=False)
    figures: tuple[float, int] = field(compare=False, default=(0.0, 0))


class _KnowsAll:
    """In the place of a cost model: the seconds as they are."""

    def __init__(self, study: Study) -> None:
        self._costs = {
            id(trial.work.params): Costs(trial.costs["cpu"], trial.costs["gpu"])
            for trial in study.trials
        }
        self.n_timings = {"cpu": 99, "gpu": 99}

    def learn(self, timing: Any) -> None:
        """Know it already."""

    def suppose(self, timings: Any) -> None:
        """Know better."""

    def of(self, points: Sequence[Mapping[str, Any]]) -> list[Costs]:
        """Return the costs as they are."""
        return [self._costs[id(params)] for params in points]


class PlannedSearch:
    """A search on a pretended box, planned by `Placement`.

    Attributes:
        placement: The one under test.
        planning_s: Real seconds that it has computed.
        n_moved: Trials that were begun anew elsewhere.
        places: Trials that have ended, by kind.
    """

    def __init__(self, box: Box, study: Study, *, knows_all: bool = False) -> None:
        self._study = study
        self._slots = box.slots
        self._at = 0.0
        self.placement = Placement(self._slots, study.domains, now=lambda: self._at)
        if knows_all:
            self.placement.model = _KnowsAll(study)  # type: ignore[assignment]
        self.planning_s = 0.0
        self.n_moved = 0
        self.places: Counter[Kind] = Counter()
        self._asked = 0
        self._waiting: list[Trial] = []
        self._running: dict[str, tuple[Trial, Slot]] = {}
        self._coming: list[_Happening] = []
        self._counter = itertools.count()

    def seconds(self, tick_s: float) -> float:
        """Run it; return when the last trial ends on its clock.

        Args:
            tick_s: Between looks at the trials that run.
        """
        self._post(tick_s, "tick", "")
        self._advance()
        ended_at = 0.0
        while self._running or self._waiting:
            happening = heapq.heappop(self._coming)
            self._at = happening.at
            began = time.process_time()
            if happening.word == "tick":
                self._move()
                self._post(tick_s, "tick", "")
            elif happening.job in self._running:
                self._take_in(happening)
                if happening.word == "end":
                    ended_at = self._at
            self.planning_s += time.process_time() - began
            self._advance()
        return ended_at

    def _take_in(self, happening: _Happening) -> None:
        seconds, fits = happening.figures
        if happening.word == "epoch":
            self.placement.report(happening.job, seconds, fits)
        else:
            _, slot = self._running.pop(happening.job)
            self.places[slot.kind] += 1
            self.placement.end(happening.job, seconds)

    def _move(self) -> None:
        for job in self.placement.moves():
            trial, _ = self._running.pop(job)
            self.placement.end(job, None)
            self._waiting.insert(0, trial)
            self.n_moved += 1

    def _advance(self) -> None:
        began = time.process_time()
        most = self._study.open_per_slot * len(self.placement.used(self._slots))
        while self._asked < len(self._study.trials):
            if len(self._running) + len(self._waiting) >= most:
                break
            self._waiting.append(self._study.trials[self._asked])
            self._asked += 1

        while self._waiting:
            busy = [slot for _, slot in self._running.values()]
            names = {slot.name for slot in busy}
            idle = [slot for slot in self._slots if slot.name not in names]
            choice = self.placement.choose(idle, busy, [each.work for each in self._waiting])
            if choice is None:
                break
            self._begin(self._waiting.pop(choice.job), idle[choice.slot])
            most = self._study.open_per_slot * len(self.placement.used(self._slots))
        self.planning_s += time.process_time() - began

    def _begin(self, trial: Trial, slot: Slot) -> None:
        job = f"{trial.work.key}-{next(self._counter)}"
        self.placement.begin(job, trial.work, slot)
        self._running[job] = trial, slot
        cost = trial.costs[slot.kind]
        told = 0
        for epoch in [1, 2, *range(7, trial.epochs + 1, 5)]:
            if epoch <= trial.epochs:
                seconds = cost.seconds(epoch)
                self._post(seconds, "epoch", job, (seconds, epoch - told))
                told = epoch
        total = cost.seconds(trial.epochs)
        self._post(total, "end", job, (total, 0))

    def _post(
        self, after_s: float, word: str, job: str, figures: tuple[float, int] = (0.0, 0)
    ) -> None:
        order = next(self._counter)
        heapq.heappush(self._coming, _Happening(self._at + after_s, order, word, job, figures))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one box and study; seconds on the pretended clock.

    Attributes:
        cpu_s, gpu_s, split_s: All on cores, all on GPUs, the best sharing.
        planned_s: As it was planned.
        knowing_s: By the same rules, knowing all seconds.
        mode: What was planned in the end.
        on_gpu: Part of the trials that ended on GPUs.
        n_moved: Trials begun anew.
        planning_s: Real seconds of computing.
    """

    cpu_s: float
    gpu_s: float
    split_s: float
    planned_s: float
    knowing_s: float
    mode: str
    on_gpu: float
    n_moved: int
    planning_s: float

    @property
    def best_s(self) -> float:
        """Of the three ways."""
        return min(self.cpu_s, self.gpu_s, self.split_s)

    @property
    def best(self) -> str:
        """The best way's name; of two that are equal the simpler one's."""
        ways = {"cpu": self.cpu_s, "gpu": self.gpu_s, "both": self.split_s * 1.001}
        return min(ways, key=lambda way: ways[way])

    @property
    def right(self) -> bool:
        """Whether it was planned right."""
        return self.planned_s <= RIGHT * self.best_s

    @property
    def cost(self) -> float:
        """What not knowing the seconds cost, in parts of the search."""
        return self.planned_s / self.knowing_s - 1


def outcome_of(seed: int, shortest_s: float = SHORTEST_S) -> Outcome:
    """Draw a box and a study until a search there is long enough, and run it every way."""
    rng = np.random.default_rng(seed)
    while True:
        box = draw_box(rng)
        study = draw_study(rng, box)
        cpu_s = alone_s(study, "cpu", box.cores)
        gpu_s = alone_s(study, "gpu", box.gpus)
        shared_s = split_s(study, box)
        shortest = min(cpu_s, gpu_s, shared_s)
        if shortest >= shortest_s:
            break
    tick_s = max(0.5, shortest / 2000)
    search = PlannedSearch(box, study)
    planned_s = search.seconds(tick_s)
    return Outcome(
        cpu_s=cpu_s,
        gpu_s=gpu_s,
        split_s=shared_s,
        planned_s=planned_s,
        knowing_s=PlannedSearch(box, study, knows_all=True).seconds(tick_s),
        mode=search.placement.mode,
        on_gpu=search.places["gpu"] / len(study.trials),
        n_moved=search.n_moved,
        planning_s=search.planning_s,
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the figures as a table in Markdown, a row for each way that was the best."""
    lines = [
        "| the best way | boxes | right | median of planned / best | 95th percentile | "
        "all on cores / best | all on GPUs / best | cost of not knowing |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    groups = {
        name: [each for each in outcomes if each.best == name] for name in ("cpu", "gpu", "both")
    }
    for name, group in {**groups, "all": list(outcomes)}.items():
        if not group:
            continue
        ratios = [each.planned_s / each.best_s for each in group]
        right = sum(each.right for each in group) / len(group)
        cpu = statistics.median(each.cpu_s / each.best_s for each in group)
        gpu = statistics.median(each.gpu_s / each.best_s for each in group)
        cost = statistics.mean(each.cost for each in group)
        lines.append(
            f"| {name} | {len(group)} | {right:.1%} | {statistics.median(ratios):.3f} | "
            f"{np.quantile(ratios, 0.95):.3f} | {cpu:.2f} | {gpu:.2f} | {cost:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="seed of the first box")
    parser.add_argument(
        "--shortest", type=float, default=SHORTEST_S, help="seconds of the shortest search"
    )
    arguments = parser.parse_args()
    outcomes = {}
    for seed in range(arguments.first, arguments.first + arguments.boxes):
        outcomes[seed] = outcome = outcome_of(seed, arguments.shortest)
        ratio = outcome.planned_s / outcome.best_s
        print(seed, f"{ratio:.3f} {outcome.cost:.3f}", json.dumps(asdict(outcome)), flush=True)
    print(table(list(outcomes.values())))
    planning = sum(each.planning_s for each in outcomes.values())
    planned = sum(each.planned_s for each in outcomes.values())
    print(
        json.dumps(
            {
                "boxes": len(outcomes),
                "right": statistics.mean(each.right for each in outcomes.values()),
                "cost": statistics.mean(each.cost for each in outcomes.values()),
                "computing": planning / planned,
                "most_computing": max(
                    each.planning_s / each.planned_s for each in outcomes.values()
                ),
                "moved": sum(each.n_moved for each in outcomes.values()),
            }
        )
    )


if __name__ == "__main__":
    main()
