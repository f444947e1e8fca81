"""Range tests on a study's own models and training rows: what a worker does for `LRRangeJob`."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from tuning.builders.build import build
from tuning.errors import StudyError
from tuning.lr_range.result import LRRange, LRRangeJob
from tuning.lr_range.steps import first_rows
from tuning.lr_range.sweep import Sweep, measure
from tuning.lr_range.throwaway import own, rate_variable
from tuning.space.domains import Float
from tuning.space.positions import structure
from tuning.study.study import Study
from tuning.trial import Context, EpochReport, Params
from tuning.trials.usage.meter import Stopwatch
from tuning.trials.worker_study import WorkerStudy, load_worker_study

_RATES = ("lr", "learning_rate")


def run_lr_range(job: LRRangeJob, context: Context) -> LRRange:
    """Do one test; the function of its `Job`.

    Raises:
        StudyError: The study is wrong, or its parameter does not set the optimizer's learning rate.
    """
    stopwatch = Stopwatch(context.slot)
    worker_study = load_worker_study(job.source, job.overrides)
    point = job.structure
    if point is None:
        study = worker_study.study
        point = structure(study.space, "middle", job.parameter or rate_of(study))

    test = _test(job, worker_study.for_params(point), point)
    report = EpochReport(
        number=0, epoch=1, value=float(test.losses[-1]), metrics={}, seconds=test.seconds
    )
    context.report(report)
    usage = stopwatch.usage
    return replace(test, cpu_s=usage.cpu_s, gpu_s=usage.gpu_s)


def rate_of(study: Study) -> str:
    """Return the name of the learning rate that a study searches, as far as names tell; else ""."""
    candidates = (*study.space.measured, *_RATES)
    return next((name for name in candidates if name in study.space.domains), "")


def _test(job: LRRangeJob, worker_study: WorkerStudy, point: Params) -> LRRange:
    study = worker_study.study
    split = study.split_params(point)
    rate = job.parameter or rate_of(study)
    needed = {rate: job.lr_min} if rate else {}  # a builder may have no default for its rate
    arguments = {**worker_study.builder_arguments, **needed, **split.builder}

    sweep = Sweep(
        batch_size=int(job.batch_size or split.batch_size),
        lr_min=job.lr_min,
        lr_max=job.lr_max,
        steps=job.steps,
        seeds=job.seeds,
        bounds=job.bounds or _own_bounds(study),
    )
    faults = list(sweep.faults())
    if faults:
        raise StudyError(faults, where="lr-range")
    if job.parameter:
        _check_parameter(job.parameter, arguments, worker_study)

    rows = worker_study.fold(0).train
    data = (np.asarray(rows.X), np.asarray(rows.y))

    def make(seed: int) -> keras.Model:
        return own(_build(worker_study, arguments, seed), first_rows(data))

    tested = {**point, "batch_size": sweep.batch_size}
    label = ", ".join(f"{name}={value}" for name, value in tested.items())
    return replace(measure(make, data, sweep), study=study.name, label=label)


def _build(worker_study: WorkerStudy, arguments: Params, seed: int) -> keras.Model:
    input_shape = worker_study.parts.input_shape
    return build(worker_study.study.builder, arguments, seed, input_shape=input_shape)


def _own_bounds(study: Study) -> tuple[float, float] | None:
    """Return the bounds that the study itself gives its rate."""
    domain = study.space.domains.get(rate_of(study))
    if isinstance(domain, Float) and domain.low > 0:
        return domain.low, domain.high
    return None


def _check_parameter(name: str, arguments: Params, worker_study: WorkerStudy) -> None:
    """Refuse a parameter that is not the rate: the suggestions would go to something else."""
    tried = 0.00123  # a rate that no builder has by itself
    model = _build(worker_study, {**arguments, name: tried}, seed=0)
    rate = rate_variable(model.optimizer)

    if not isinstance(rate, keras.Variable):
        actual = "a schedule"
    elif abs(float(rate) - tried) > 1e-6 * tried:
        actual = f"{float(rate):.6g}"
    else:
        return
    raise StudyError(
        f"'{name}' is searched from a range test, but with {name}={tried} the optimizer's "
        f"learning rate is {actual}; give '{name}' bounds of its own",
        where=f"study '{worker_study.study.name}'",
    )
