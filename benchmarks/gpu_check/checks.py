"""The checks: each asks one question of the box and returns a row."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping

from benchmarks.gpu_check.box import Box, Search, gpus_by_nvidia_smi, mps_daemon, said_by
from benchmarks.gpu_check.row import Figures, Row
from tuning.errors import TuningError

MOST_TAKEN = 0.25
"""Part of a GPU's memory that a small product may take; without growth it is nearly all of it."""

MOST_DIFFERENCE = 1e-4
"""Of losses after three epochs in 32 bits: other kernels sum in another order."""

MOST_SLOWER = 1.15
"""What the plan may take, as a multiple of the better kind of device alone."""

SHARED = 1.05
"""What two slots on one GPU may take, as a multiple of one: sharing must not cost."""

OWN_METRICS = ("utilization", "memory", "power", "temperature")


def devices(box: Box) -> Row:
    """Are GPUs listed in the driver's order, and does `tuning devices` know them?"""
    check = "devices: those of nvidia-smi, in its order"
    ours = [gpu.uuid for gpu in box.gpus]
    kinds = sorted({gpu.name for gpu in box.gpus})
    figures: Figures = {"gpus": len(ours), "names": ", ".join(kinds)}
    theirs = [uuid for uuid in gpus_by_nvidia_smi() if uuid in ours]
    if not theirs:
        return Row.absent(check, "nvidia-smi lists none of the GPUs that this process may use")

    table = said_by("devices")
    unknown = [uuid for uuid in ours if table is not None and uuid not in table]
    note = f"tuning devices does not show {', '.join(unknown)}" if unknown else ""
    if table is None:
        note = "this release has no `tuning devices`"
    return Row.judged(check, ours == theirs and not unknown, figures, note)


def growth(box: Box) -> Row:
    """Does a worker see one GPU, and take of its memory only what it needs?"""
    check = "growth: a worker sees one GPU and takes little of its memory"
    figures = box.in_child("growth")
    taken = float(figures["taken_mb"]) / float(figures["total_mb"])
    good = figures["gpus"] == 1 and taken <= MOST_TAKEN
    return Row.judged(check, good, figures, f"at most {MOST_TAKEN:.0%} of the memory")


def xla(box: Box) -> Row:
    """Does our graph, compiled by XLA, train what `fit` trains?"""
    figures = box.in_child("xla")
    good = figures["by_xla"] == 1.0 and float(figures["difference"]) <= MOST_DIFFERENCE
    note = f"losses differ by {MOST_DIFFERENCE:g} at most; an epoch's time has the trace in it"
    return Row.judged("XLA: our graph against fit", good, figures, note)


def mirrored(box: Box) -> Row:
    """Does `MirroredStrategy` of one device train what the device trains without it?"""
    figures = box.in_child("mirrored")
    good = figures["replicas"] == 1 and float(figures["difference"]) <= MOST_DIFFERENCE
    note = f"losses differ by {MOST_DIFFERENCE:g} at most"
    return Row.judged("MirroredStrategy of one device against none", good, figures, note)


def plan_plain(box: Box) -> Row:
    """Is a search of small plain networks planned as well as by hand?"""
    return _plan(box, "plain")


def plan_images(box: Box) -> Row:
    """Is a search of convolutional networks planned as well as by hand?"""
    return _plan(box, "images")


def mps(box: Box) -> Row:
    """Do two trials share a GPU by NVIDIA's MPS, in no more time than one after the other?"""
    check = "MPS: two trials on one GPU against one"
    if shutil.which("nvidia-cuda-mps-control") is None:
        return Row.absent(check, "there is no nvidia-cuda-mps-control")
    options = said_by("run", "--help") or ""
    if "--slots-per-gpu" not in options:
        return Row.absent(check, "this release has no --slots-per-gpu")

    alone = box.search("images", "--devices", "0")
    try:
        with mps_daemon() as environment:
            words = ("--devices", "0", "--slots-per-gpu", 2)
            shared = box.search("images", *words, extra=environment)
    except TuningError as error:
        return Row.absent(check, f"MPS could not be used: {error}")
    figures = {"one_slot_s": alone.trials_s, "two_slots_s": shared.trials_s}
    good = shared.trials_s <= SHARED * alone.trials_s and len(shared.slots) == len(alone.slots)
    return Row.judged(check, good, figures, f"at most {SHARED:g} times as long")


def own_metrics(box: Box) -> Row:
    """Have the trials' runs the figures of their own GPU?"""
    check = "metrics: utilisation, memory, power, temperature in MLflow"
    search = box.search("images", "--devices", "0", "--trials", 3)
    gpu = [name for name in search.own_metrics if "gpu" in name]
    if not gpu:
        return Row.absent(check, "the runs have no system metrics of a GPU")
    missing = [word for word in OWN_METRICS if not any(word in name for name in gpu)]
    note = f"without {', '.join(missing)}" if missing else ""
    return Row.judged(check, not missing, {"names": ", ".join(gpu)}, note)


CHECKS: Mapping[str, Callable[[Box], Row]] = {
    "devices": devices,
    "growth": growth,
    "xla": xla,
    "mirrored": mirrored,
    "plan-plain": plan_plain,
    "plan-images": plan_images,
    "mps": mps,
    "metrics": own_metrics,
}
"""By the name that `--checks` takes, in the order in which they run."""


def checked(name: str, box: Box) -> Row:
    """Run a check; what ends it with an error is a failed row, and the next one runs."""
    try:
        return CHECKS[name](box)
    except TuningError as error:
        return Row.judged(name, False, {}, str(error))


def _plan(box: Box, study: str) -> Row:
    by_device = {word: box.search(study, "--devices", word) for word in ("cpu", "gpu", "auto")}
    planned = by_device["auto"]
    best_s = min(by_device["cpu"].trials_s, by_device["gpu"].trials_s)
    figures: dict[str, float | str] = {
        f"{word}_s": search.trials_s for word, search in by_device.items()
    }
    figures["planned"] = _where(planned)
    good = planned.trials_s <= MOST_SLOWER * best_s
    note = f"--devices auto takes at most {MOST_SLOWER:g} times the better of cpu and gpu"
    return Row.judged(f"plan: {study} networks", good, figures, note)


def _where(search: Search) -> str:
    on_cpus = len(search.slots) - search.on_gpus
    return f"{on_cpus} trials on CPU cores, {search.on_gpus} on GPUs"
