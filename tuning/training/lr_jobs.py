"""Range tests on a study's own models and training rows: what a worker does for `LRRangeJob`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tuning.builders.build import build
from tuning.domains import Domain, Float
from tuning.errors import StudyError
from tuning.study import Study
from tuning.training.lr_range import Sweep, measure
from tuning.training.lr_record import LRRange, LRRangeJob
from tuning.training.lr_steps import first_rows
from tuning.training.throwaway import own
from tuning.training.workbench import Workbench, workbench
from tuning.trial import Context, EpochReport

_RATES = ("lr", "learning_rate")
_PLACES = {"low": 0, "middle": 1, "high": -1}


def run_lr_range(job: LRRangeJob, context: Context) -> list[LRRange]:
    """Test each structure the job names, equal ones once; the function of its `Job`.

    Raises:
        StudyError: The study is wrong, or its parameter does not set the optimizer's learning rate.
    """
    bench = workbench(job.source, job.overrides)
    rate = job.parameter or rate_of(bench.study)
    points = {place: structure(bench.study, place, rate) for place in job.structures}
    distinct = {repr(sorted(point.items())): (place, point) for place, point in reversed(points.items())}
    done: list[LRRange] = []
    for place, point in reversed(distinct.values()):
        done.append(_test(job, bench, place, point))
        if context.report(EpochReport(0, len(done), float(done[-1].losses[-1]), {}, done[-1].seconds)) == "stop":
            break
    return done


def rate_of(study: Study) -> str:
    """Return the name of the learning rate that a study searches, as far as names tell; else ""."""
    return next((name for name in (*study.space.measured, *_RATES) if name in study.space.domains), "")


def structure(study: Study, place: str, parameter: str = "") -> dict[str, Any]:
    """Return one point of a study's space without `parameter`, which exists there.

    Args:
        study: The study.
        place: "low", "middle" or "high": which value of each parameter; of a choice the first, the middle, the last.
        parameter: The learning rate.
    """
    wanted = {} if not parameter else _wanted(study.space.domains, parameter)
    point = {
        name: wanted.get(name, _values(domain)[_index(place, domain)]) for name, domain in study.space.domains.items()
    }
    point = study.space.active(point)
    point.pop(parameter, None)
    return point


def _wanted(domains: Mapping[str, Domain], name: str) -> dict[str, Any]:
    """Return the values of its parents, and of theirs, under which a parameter exists."""
    found: dict[str, Any] = {}
    for parent, values in domains[name].conditions:
        found |= {**_wanted(domains, parent), parent: values[0]}
    return found


def _values(domain: Domain) -> list[Any]:
    return list(domain.cut(3))


def _index(place: str, domain: Domain) -> int:
    count = len(_values(domain))
    return (count - 1) // 2 if place == "middle" else _PLACES[place]


def _test(job: LRRangeJob, bench: Workbench, place: str, point: Mapping[str, Any]) -> LRRange:
    study, rows = bench.study, bench.fold(0).train
    arguments, settings = study.split_params(point)
    rate = {name: job.lr_min for name in (job.parameter or rate_of(study),) if name}  # a builder may need one
    arguments = {**bench.builder_arguments, **rate, **arguments}
    batch_size = int(job.batch_size or settings["batch_size"])
    label = ", ".join(f"{name}={value}" for name, value in {**point, "batch_size": batch_size}.items())
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


def _check_parameter(name: str, study: Study, arguments: Mapping[str, Any], bench: Workbench) -> None:
    """Refuse a parameter that is not the rate: what the test finds would be given to something else."""
    asked = 0.00123
    model = build(study.builder, {**arguments, name: asked}, 0, input_shape=bench.parts.input_shape)
    rate = getattr(getattr(model.optimizer, "inner_optimizer", model.optimizer), "_learning_rate", None)
    found = float(rate) if isinstance(rate, keras.Variable) else None
    if found is None or abs(found - asked) > 1e-6 * asked:
        raise StudyError(
            f"'{name}' is searched from a range test, but with {name}={asked} the optimizer's learning rate is "
            f"{'a schedule' if found is None else f'{found:.6g}'}; give '{name}' bounds of its own",
            where=f"study '{study.name}'",
        )
