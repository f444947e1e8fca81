"""What of a study neither a recording nor a simulation can hold."""

from __future__ import annotations

from collections.abc import Iterator

from tuning.study.info import StudyInfo
from tuning.study.study import Study


def fit_faults(study: Study | StudyInfo) -> Iterator[str]:
    """Yield one sentence for each way in which trials of a study are trained differently.

    A recording has of each point curves of the study's epochs, one for each fold and training seed.
    """
    for name in ("epochs", "patience"):
        if name in study.space:
            yield (
                f"'{name}' is in the space, but recorded and simulated points are all trained in "
                f"the same way; take it out of the space, and give {name}= of the study"
            )
    if study.objectives:
        first = study.objectives[0]
        written = f'{first.direction.capitalize()}("{first.metric}")'
        yield (
            f"{len(study.objectives)} objectives: recorded and simulated points have one value; "
            f"give objective={written} in their place"
        )
    if study.repeats > 1:
        yield (
            f"repeats={study.repeats}: recordings and simulations have seeds of their own; leave "
            "it out, and use --seeds"
        )
