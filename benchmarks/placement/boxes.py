"""Boxes and studies drawn at random, and what a trial takes on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuning.executors.devices.slot import Kind, Slot
from tuning.executors.placement.model import Cost
from tuning.executors.placement.work import Work
from tuning.space.domains import Choice, Float, Int


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
        sizes: Rows, epochs, and how many trials.
    """

    domains: Mapping[str, Any]
    trials: Sequence[Trial]
    open_per_slot: int
    sizes: tuple[int, int, int] = (0, 0, 0)


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
    trials = _draw_trials(rng, box, domains, (rows, epochs, n_trials))
    return Study(
        domains=domains,
        trials=trials,
        open_per_slot=int(rng.integers(1, 3)),
        sizes=(rows, epochs, n_trials),
    )


def drawn_again(rng: np.random.Generator, box: Box, study: Study) -> Study:
    """Return another search of a study: other trials of the same space."""
    return replace(study, trials=_draw_trials(rng, box, study.domains, study.sizes))


def _draw_trials(
    rng: np.random.Generator, box: Box, domains: Mapping[str, Any], sizes: tuple[int, int, int]
) -> list[Trial]:
    rows, epochs, n_trials = sizes
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
    return trials


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))
