"""Asking a fresh engine again for what the files say it proposed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from tuning.engines.base import Engine
from tuning.engines.memory.replay import Step, Told, is_same, replay
from tuning.errors import ChangedError, StudyError
from tuning.ledger.records import SearchHeader
from tuning.space.space import Space
from tuning.study.info import StudyInfo
from tuning.trial import EpochReport, Params, Pause, Proposal, TrialResult


class Replayed(NamedTuple):
    """A proposal of an earlier run, known to the engine again.

    Attributes:
        adopted: The engine proposed something else, and has taken it all the same.
    """

    proposal: Proposal
    adopted: bool


def ask_again(
    engine: Engine, study: StudyInfo, header: SearchHeader | None, steps: Sequence[Step]
) -> Iterator[Replayed]:
    """Tell and ask a replayed engine again, and yield what it has proposed before.

    Where it proposes something else it is made to take it: processors differ in the last digits,
    and those may lead elsewhere. Epochs may differ where a changed study is gone on with: a trial
    keeps those it was trained for.

    Args:
        engine: It has been asked all that came before. In another process it is given many steps
            at once.
        study: What is searched now.
        header: Of the search.
        steps: From the files, in order.

    Raises:
        ChangedError: It is not the search's own trial, or the engine cannot take it; says what
            would work.
    """
    rest = list(steps)
    while rest:
        answers = _answers(engine, rest)
        for step, now in zip(rest, answers, strict=False):  # to the first that is another one
            _check_study(study, header, step.before)
            yield _taken(engine, study, header, step.before, now)
        rest = rest[len(answers) :]


def _answers(engine: Engine, steps: Sequence[Step]) -> list[Proposal | Pause]:
    """Return the engine's answers to the first steps; but the last they are those of before."""
    at_once = getattr(engine, "replay", None)
    if at_once is None:
        return replay(engine, steps)
    answers: list[Proposal | Pause] = at_once(steps)
    return answers


def _taken(
    engine: Engine,
    study: StudyInfo,
    header: SearchHeader | None,
    before: Proposal,
    now: Proposal | Pause,
) -> Replayed:
    """Return the proposal of an earlier run, which the engine takes for what it proposes now."""
    if isinstance(now, Proposal) and is_same(now, before):
        proposal = replace(
            now,
            params=before.params,
            epochs=before.epochs,
            study=before.study,
            digest=before.digest,
        )
        return Replayed(proposal, adopted=False)

    if isinstance(now, Proposal) and now.parent == before.parent:
        # Beside a header that was lost the trials may be another search's: they are not forced on.
        recovered = header is not None and header.recovered
        if not recovered and _is_inside(study.space, before.params) and engine.adopt(before):
            return Replayed(before, adopted=True)

    raise ChangedError(
        f"trial {before.number} was {dict(before.params)}, but now {study.engine} proposes "
        f"{_in_words(now)}: another space, or other versions of the libraries or of this program; "
        "--fresh begins anew (the old search is kept)",
        where=f"search {None if header is None else header.id}",
    )


def _check_study(study: StudyInfo, header: SearchHeader | None, before: Proposal) -> None:
    """Refuse an ask of another study.

    Of an earlier version of this one there is the number of its last ask alone, and beside a header
    that was lost not even that.
    """
    if header is None or header.recovered or before.number < header.begins[-1]:
        return
    going_on_as_another = header.definition != study.definition
    if going_on_as_another or before.study in ("", study.pinned):
        return
    raise ChangedError(
        f"trial {before.number} was asked for another study or other data "
        f"({before.study}, now {study.pinned}): its files are not this search's. Put them back "
        "from a copy, or begin anew with --fresh (the old search is kept)",
        where=f"search {header.id}",
    )


def _in_words(answer: Proposal | Pause) -> str:
    return str(dict(answer.params)) if isinstance(answer, Proposal) else "nothing"


def _is_inside(space: Space, params: Params) -> bool:
    try:
        space.check(params)
    except StudyError:
        return False
    return True


def told(study: StudyInfo, result: TrialResult) -> Told:
    """Return what an engine is told of a trial that has ended.

    Args:
        study: What is searched.
        result: How it ended; the engine has not heard of its epochs.
    """
    if study.pruner == "none":
        return Told(result, ())
    reports = tuple(
        EpochReport(result.number, epoch, value, {}, 0.0)
        for epoch, value in result.reports_of(study.objective.metric)
    )
    return Told(result, reports)
