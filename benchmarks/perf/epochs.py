"""Part a: `model.fit` against our trainer. Part floor: our trainer against a hand-written loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.perf.records import Part, Row, Sizes, Verdict
from benchmarks.perf.spec import Spec
from benchmarks.perf.together import at_once, core_slots, running, whole_machine
from tuning.executors.base import Slot
from tuning.executors.forkserver import ForkServer

_MEASURE = "benchmarks.perf.rates:measure"
ONE, EACH, OURS, HAND = "fit, 1 process", "fit, 1 process a core", "ours", "by hand"
TRIAL_EPOCHS = 60
WIDTHS = ((50, 50), (100, 100), (200, 200, 200), (1000, 1000))
BATCHES = (32, 128, 512)


@dataclass(frozen=True)
class Side:
    """One column of the table: what is measured, on which slots."""

    name: str
    spec: Spec
    slots: tuple[Slot, ...]


def part_a(sizes: Sizes, forkserver: ForkServer | None = None) -> Part:
    """Return epochs a second of both, with and without validation, and the time of a structure's
    first two epochs.
    """
    rows: list[Row] = []
    with running(forkserver) as server:
        for model in _models(sizes):
            rows += _compared(server, model, sizes)
    return Part("a", "model.fit against the compiled trainer", rows, list(_verdicts_a(rows)))


def part_floor(sizes: Sizes, forkserver: ForkServer | None = None) -> Part:
    """Return what our epoch costs beside the same arithmetic written by hand."""
    base = Spec("ours", (100, 100), epochs=TRIAL_EPOCHS, seconds=sizes.seconds)
    kinds = (
        [("sgd", 64)]
        if sizes.quick
        else [(name, batch) for name in ("sgd", "adam") for batch in (32, 512)]
    )
    models = [_small(replace(base, optimizer=name, batch=batch), sizes) for name, batch in kinds]
    with running(forkserver) as server:
        graphs = [_floor(server, replace(model, side="graph"), sizes) for model in models]
        rows = [_floor(server, model, sizes) for model in models]
    worst = max(1 / row.ratio(HAND) for row in graphs)
    title = "our trainer against a hand-written TensorFlow loop under the compiler that our graph would take"
    what = "a compiled epoch of our graph against a hand-written one, time, worst row"
    return Part("floor", title, [*graphs, *rows], [Verdict.at_most(what, worst, 1.15)])


def name_of(spec: Spec) -> str:
    """Return `8→100→100→1, sgd, batch 32`, and what is not as usual: the epochs of a fit, no
    machine code.
    """
    shape = "→".join(map(str, (spec.inputs, *spec.widths, spec.outputs)))
    unusual = "" if spec.epochs == TRIAL_EPOCHS else f", {spec.epochs} epochs a fit"
    unusual += ", as a graph" if spec.side == "graph" else ""
    return f"{shape}, {spec.optimizer}, batch {spec.batch}{unusual}"


def _models(sizes: Sizes) -> Iterator[Spec]:
    base = Spec("ours", (100, 100), epochs=TRIAL_EPOCHS, seconds=sizes.seconds)
    if sizes.quick:
        yield _small(base, sizes)
        return
    for widths in WIDTHS:
        for batch in BATCHES:
            yield replace(base, widths=widths, batch=batch)
    for epochs in (TRIAL_EPOCHS, 30):  # enough for XLA at this size, and too few
        yield replace(base, side="graph", epochs=epochs)
    for batch in (32, 128):
        yield replace(base, widths=(300, 100), inputs=784, outputs=10, batch=batch)


def _small(spec: Spec, sizes: Sizes) -> Spec:
    return (
        replace(spec, rows=256, widths=(8,), seconds=0.05, epochs=3, warm_up=False)
        if sizes.quick
        else spec
    )


def _compared(forkserver: ForkServer, model: Spec, sizes: Sizes) -> list[Row]:
    """Return the rows of one model: steady, steady with validation, the first epoch, the first two."""
    cores, machine = tuple(core_slots()), tuple(whole_machine())
    fit = replace(model, side="fit")
    sides = [Side(ONE, fit, machine), Side(EACH, fit, cores), Side(OURS, model, cores)]
    measured = _pairs(forkserver, sides, sizes.repeats)
    judged = [replace(s, spec=replace(s.spec, validation=True)) for s in sides if s.name != ONE]
    validated = _pairs(forkserver, judged, sizes.repeats)
    name, compiler = name_of(model), {"compiler": measured[OURS][0]["compiler"]}
    return [
        Row(name, "epochs/s", _each(measured, "epochs_per_s"), against=(ONE, EACH), notes=compiler),
        Row(
            f"{name}, validation",
            "epochs/s",
            _each(validated, "epochs_per_s"),
            against=(EACH,),
            notes=compiler,
        ),
        Row(
            f"{name}, first epoch",
            "s",
            _each(measured, "first_s"),
            against=(ONE, EACH),
            better="lower",
        ),
        Row(
            f"{name}, first 2 epochs",
            "s",
            _each(measured, "two_epochs_s"),
            against=(ONE, EACH),
            better="lower",
        ),
    ]


def _pairs(
    forkserver: ForkServer, sides: list[Side], repeats: int
) -> dict[str, list[dict[str, Any]]]:
    """Measure the sides in turn, `repeats` times; return for each the sum of rates and the mean of
    other times.
    """
    found: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            found[side.name].append(_joined(at_once(forkserver, side.slots, _MEASURE, side.spec)))
    return found


def _joined(workers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "epochs_per_s": sum(worker["epochs_per_s"] for worker in workers),
        **{
            time: sum(worker[time] for worker in workers) / len(workers)
            for time in ("first_s", "two_epochs_s")
        },
        "compiler": workers[0]["compiler"],
    }


def _each(measured: Mapping[str, list[dict[str, Any]]], figure: str) -> dict[str, list[float]]:
    return {side: [one[figure] for one in repeats] for side, repeats in measured.items()}


def _floor(forkserver: ForkServer, model: Spec, sizes: Sizes) -> Row:
    cores, once = tuple(core_slots()), replace(model, seconds=0.0)
    graph, taken = (
        at_once(forkserver, cores[:1], _MEASURE, spec)[0]["compiler"]
        for spec in (replace(once, side="graph"), once)
    )
    by_hand = replace(model, side="hand", compiler=graph)
    measured = _pairs(
        forkserver, [Side(HAND, by_hand, cores), Side(OURS, model, cores)], sizes.repeats
    )
    rates = _each(measured, "epochs_per_s")
    return Row(
        f"{name_of(model)}, {taken}", "epochs/s", rates, against=(HAND,), notes={"by hand": graph}
    )


def _verdicts_a(rows: list[Row]) -> Iterator[Verdict]:
    steady = {row.name: row for row in rows if row.unit == "epochs/s"}
    for widths, inputs, outputs, batch, against, limit in (
        ((100, 100), 8, 1, 32, ONE, 25),
        ((100, 100), 8, 1, 32, EACH, 15),
        ((100, 100), 8, 1, 512, EACH, 8),
        ((300, 100), 784, 10, 32, EACH, 3),
    ):
        spec = Spec("ours", widths, inputs, outputs, batch, TRIAL_EPOCHS)
        if (row := steady.get(name_of(spec))) is not None:
            yield Verdict.at_least(f"ours against {against}, {row.name}", row.ratio(against), limit)
    pairs = [(row, other) for row in steady.values() for other in row.against]
    worst, where = min((row.ratio(other), f"{row.name}, against {other}") for row, other in pairs)
    yield Verdict.at_least(f"ours against fit, the worst of the table ({where})", worst, 1.1)
