"""Part a: `model.fit` against our trainer. Part floor: our trainer against a hand-written loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from benchmarks.perf.records import Part, Rates, Row, Sizes, Verdict
from benchmarks.perf.spec import Spec
from benchmarks.perf.together import at_once, core_slots, running, whole_machine
from tuning.executors.devices.slot import Slot
from tuning.executors.forkserver import ForkServer

_MEASURE = "benchmarks.perf.rates:measure"

ONE = "fit, 1 process"
EACH = "fit, 1 process a core"
OURS = "ours"
HAND = "by hand"

TRIAL_EPOCHS = 60
WIDTHS = ((50, 50), (100, 100), (200, 200, 200), (1000, 1000))
BATCHES = (32, 128, 512)

Measured: TypeAlias = Mapping[str, Sequence[Rates]]
"""One `Rates` a repeat, by the side's name."""


@dataclass(frozen=True)
class Side:
    """One column of the table: what is measured, on which slots."""

    name: str
    spec: Spec
    slots: tuple[Slot, ...]


def part_a(sizes: Sizes, forkserver: ForkServer | None = None) -> Part:
    """Return epochs a second of both, with and without validation, and the first epochs' times."""
    rows: list[Row] = []
    with running(forkserver) as server:
        for model in _models(sizes):
            rows += _compare(server, model, sizes.repeats)
    return Part(
        key="a",
        title="model.fit against the compiled trainer",
        rows=rows,
        verdicts=list(_verdicts_a(rows)),
    )


def part_floor(sizes: Sizes, forkserver: ForkServer | None = None) -> Part:
    """Return what our epoch costs beside the same arithmetic written by hand."""
    models = list(_floor_models(sizes))
    with running(forkserver) as server:
        graphs = [_floor(server, replace(model, side="graph"), sizes.repeats) for model in models]
        rows = [_floor(server, model, sizes.repeats) for model in models]

    worst = max(1 / row.ratio(HAND) for row in graphs)
    what = "a compiled epoch of our graph against a hand-written one, time, worst row"
    return Part(
        key="floor",
        title="our trainer against a hand-written TensorFlow loop under the compiler that our "
        "graph would take",
        rows=[*graphs, *rows],
        verdicts=[Verdict.at_most(what, worst, 1.15)],
    )


def name_of(spec: Spec) -> str:
    """Return `8→100→100→1, sgd, batch 32`, and what is not as usual.

    That is the epochs of a fit, and a graph where machine code would do.
    """
    shape = "→".join(map(str, (spec.inputs, *spec.widths, spec.outputs)))
    name = f"{shape}, {spec.optimizer}, batch {spec.batch}"
    if spec.epochs != TRIAL_EPOCHS:
        name += f", {spec.epochs} epochs a fit"
    if spec.side == "graph":
        name += ", as a graph"
    return name


def _usual(sizes: Sizes) -> Spec:
    spec = Spec(side="ours", widths=(100, 100), epochs=TRIAL_EPOCHS, seconds=sizes.seconds)
    if sizes.quick:
        return replace(spec, rows=256, widths=(8,), seconds=0.05, epochs=3, warm_up=False)
    return spec


def _models(sizes: Sizes) -> Iterator[Spec]:
    usual = _usual(sizes)
    if sizes.quick:
        yield usual
        return
    for widths in WIDTHS:
        for batch in BATCHES:
            yield replace(usual, widths=widths, batch=batch)
    for epochs in (TRIAL_EPOCHS, 30):  # enough for XLA at this size, and too few
        yield replace(usual, side="graph", epochs=epochs)
    for batch in (32, 128):
        yield replace(usual, widths=(300, 100), inputs=784, outputs=10, batch=batch)


def _floor_models(sizes: Sizes) -> Iterator[Spec]:
    usual = _usual(sizes)
    if sizes.quick:
        yield replace(usual, optimizer="sgd", batch=64)
        return
    for optimizer in ("sgd", "adam"):
        for batch in (32, 512):
            yield replace(usual, optimizer=optimizer, batch=batch)


def _compare(forkserver: ForkServer, model: Spec, repeats: int) -> list[Row]:
    """Return a model's rows: steady, steady with validation, the first epoch, the first two."""
    cores = tuple(core_slots())
    fit = replace(model, side="fit")
    sides = [
        Side(ONE, fit, tuple(whole_machine())),
        Side(EACH, fit, cores),
        Side(OURS, model, cores),
    ]
    measured = _measure_in_turn(forkserver, sides, repeats)
    with_validation = [
        replace(side, spec=replace(side.spec, validation=True)) for side in sides[1:]
    ]
    validated = _measure_in_turn(forkserver, with_validation, repeats)

    name = name_of(model)
    compiler = {"compiler": measured[OURS][0].compiler}
    return [
        Row(
            name=name,
            unit="epochs/s",
            raw=_rates(measured),
            against=(ONE, EACH),
            notes=compiler,
        ),
        Row(
            name=f"{name}, validation",
            unit="epochs/s",
            raw=_rates(validated),
            against=(EACH,),
            notes=compiler,
        ),
        Row(
            name=f"{name}, first epoch",
            unit="s",
            raw={side: [rates.first_s for rates in of] for side, of in measured.items()},
            against=(ONE, EACH),
            better="lower",
        ),
        Row(
            name=f"{name}, first 2 epochs",
            unit="s",
            raw={side: [rates.two_epochs_s for rates in of] for side, of in measured.items()},
            against=(ONE, EACH),
            better="lower",
        ),
    ]


def _measure_in_turn(forkserver: ForkServer, sides: Sequence[Side], repeats: int) -> Measured:
    """Measure the sides one right after the other, `repeats` times: the machine's load drifts."""
    measured: dict[str, list[Rates]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            workers = at_once(forkserver, side.slots, _MEASURE, side.spec)
            measured[side.name].append(_joined(workers))
    return measured


def _joined(workers: Sequence[Rates]) -> Rates:
    count = len(workers)
    return Rates(
        epochs_per_s=sum(worker.epochs_per_s for worker in workers),
        first_s=sum(worker.first_s for worker in workers) / count,
        two_epochs_s=sum(worker.two_epochs_s for worker in workers) / count,
        compiler=workers[0].compiler,
    )


def _rates(measured: Measured) -> dict[str, list[float]]:
    return {side: [rates.epochs_per_s for rates in of] for side, of in measured.items()}


def _floor(forkserver: ForkServer, model: Spec, repeats: int) -> Row:
    """Compare a model with the hand-written loop, under the compiler that its graph would take."""
    cores = tuple(core_slots())
    # Both sides get the same compiler, else its gain would count as the trainer's.
    graph_compiler = _compiler_of(forkserver, replace(model, side="graph"), cores[0])
    our_compiler = _compiler_of(forkserver, model, cores[0])
    by_hand = replace(model, side="hand", compiler=graph_compiler)
    sides = [Side(HAND, by_hand, cores), Side(OURS, model, cores)]
    return Row(
        name=f"{name_of(model)}, {our_compiler}",
        unit="epochs/s",
        raw=_rates(_measure_in_turn(forkserver, sides, repeats)),
        against=(HAND,),
        notes={"by hand": graph_compiler},
    )


def _compiler_of(forkserver: ForkServer, spec: Spec, slot: Slot) -> str:
    worker: Rates
    (worker,) = at_once(forkserver, (slot,), _MEASURE, replace(spec, seconds=0.0))
    return worker.compiler


class _Target(NamedTuple):
    """How many times faster ours shall be than one side on one model."""

    spec: Spec
    against: str
    least: float


_HOUSING = Spec(side="ours", widths=(100, 100), epochs=TRIAL_EPOCHS)
_DIGITS = replace(_HOUSING, widths=(300, 100), inputs=784, outputs=10)
_TARGETS = (
    _Target(_HOUSING, ONE, 25),
    _Target(_HOUSING, EACH, 15),
    _Target(replace(_HOUSING, batch=512), EACH, 8),
    _Target(_DIGITS, EACH, 3),
)


def _verdicts_a(rows: Sequence[Row]) -> Iterator[Verdict]:
    steady = {row.name: row for row in rows if row.unit == "epochs/s"}
    for target in _TARGETS:
        row = steady.get(name_of(target.spec))
        if row is not None:  # not among the models of --quick
            what = f"ours against {target.against}, {row.name}"
            yield Verdict.at_least(what, row.ratio(target.against), target.least)

    worst, where = min(
        (row.ratio(other), f"{row.name}, against {other}")
        for row in steady.values()
        for other in row.against
    )
    yield Verdict.at_least(f"ours against fit, the worst of the table ({where})", worst, 1.1)
