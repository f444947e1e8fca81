"""Range tests on a study's own models and training rows: what a worker does for `LRRangeJob`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tuning.builders.build import build
from tuning.errors import StudyError
from tuning.lr_range.result import LRRange, LRRangeJob
from tuning.lr_range.steps import first_rows
from tuning.lr_range.sweep import Sweep, measure
from tuning.lr_range.throwaway import own
from tuning.study.domains import Float
from tuning.study.positions import structure
from tuning.study.study import Study
from tuning.trial import Context, EpochReport
from tuning.trials.worker_study import WorkerStudy, load_worker_study

_RATES = ("lr", "learning_rate")


def run_lr_range(job: LRRangeJob, context: Context) -> LRRange:
    """Do one test; the function of its `Job`.

    Raises:
        StudyError: The study is wrong, or its parameter does not set the optimizer's learning rate.
    """
    bench = load_worker_study(job.source, job.overrides)
    point = structure(bench.study.space, "middle", job.parameter or rate_of(bench.study))
    test = _test(job, bench, point if job.structure is None else job.structure)
    context.report(EpochReport(0, 1, float(test.losses[-1]), {}, test.seconds))
    return test


def rate_of(study: Study) -> str:
    """Return the name of the learning rate that a study searches, as far as names tell; else ""."""
    return next(
        (name for name in (*study.space.measured, *_RATES) if name in study.space.domains), ""
    )


def _test(job: LRRangeJob, bench: WorkerStudy, point: Mapping[str, Any]) -> LRRange:
    study, rows = bench.study, bench.fold(0).train
    arguments, settings = study.split_params(point)
    rate = {
        name: job.lr_min for name in (job.parameter or rate_of(study),) if name
    }  # a builder may need one
    arguments = {**bench.builder_arguments, **rate, **arguments}
    batch_size = int(job.batch_size or settings["batch_size"])
    label = ", ".join(
        f"{name}={value}" for name, value in {**point, "batch_size": batch_size}.items()
    )
    bounds = job.bounds or _own_bounds(study)
    sweep = Sweep(batch_size, job.lr_min, job.lr_max, job.steps, job.seeds, bounds)
    if faults := list(sweep.faults()):
        raise StudyError(faults, where="lr-range")
    data = (np.asarray(rows.X), np.asarray(rows.y))
    if job.parameter:
        _check_parameter(job.parameter, study, arguments, bench)

    def make(seed: int) -> keras.Model:
        model = build(study.builder, arguments, seed, input_shape=bench.parts.input_shape)
        return own(model, first_rows(data))

    return replace(measure(make, data, sweep), study=study.name, label=label)


def _own_bounds(study: Study) -> tuple[float, float] | None:
    domain = study.space.domains.get(rate_of(study))
    return (domain.low, domain.high) if isinstance(domain, Float) and domain.low > 0 else None


def _check_parameter(
    name: str, study: Study, arguments: Mapping[str, Any], bench: WorkerStudy
) -> None:
    """Refuse a parameter that is not the rate: what the test finds would be given to something
    else.
    """
    asked = 0.00123
    model = build(study.builder, {**arguments, name: asked}, 0, input_shape=bench.parts.input_shape)
    rate = getattr(
        getattr(model.optimizer, "inner_optimizer", model.optimizer), "_learning_rate", None
    )
    found = float(rate) if isinstance(rate, keras.Variable) else None
    if found is None or abs(found - asked) > 1e-6 * asked:
        raise StudyError(
            f"'{name}' is searched from a range test, but with {name}={asked} the optimizer's learning rate is "
            f"{'a schedule' if found is None else f'{found:.6g}'}; give '{name}' bounds of its own",
            where=f"study '{study.name}'",
        )
