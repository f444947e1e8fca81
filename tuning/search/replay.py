"""Asking a fresh engine again for what the files say it proposed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

from tuning.engines.base import Engine
from tuning.errors import ChangedError, StudyError
from tuning.ledger.records import SearchHeader
from tuning.space.space import Space
from tuning.study.info import StudyInfo
from tuning.trial import Params, Pause, Proposal


class Replayed(NamedTuple):
    """A proposal of an earlier run, known to the engine again.

    Attributes:
        adopted: The engine proposed something else, and has taken it all the same.
    """

    proposal: Proposal
    adopted: bool


def ask_again(
    engine: Engine, study: StudyInfo, header: SearchHeader | None, before: Proposal
) -> Replayed:
    """Ask a replayed engine for what it has proposed before.

    Where it proposes something else it is made to take it: processors differ in the last digits,
    and those may lead elsewhere. Epochs may differ where a changed study is gone on with: a trial
    keeps those it was trained for.

    Args:
        engine: It has been told again all that it was told before that ask.
        study: What is searched now.
        header: Of the search.
        before: The proposal in the files.

    Raises:
        ChangedError: It is not the search's own trial, or the engine cannot take it; says what
            would work.
    """
    now = engine.ask(before.number)
    _check_study(study, header, before)
    if isinstance(now, Proposal) and now.parent == before.parent:
        if _are_near(now.params, before.params):
            proposal = replace(
                now,
                params=before.params,
                epochs=before.epochs,
                study=before.study,
                digest=before.digest,
            )
            return Replayed(proposal, adopted=False)

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


def _are_near(now: Params, before: Params) -> bool:
    """Whether parameters are the same, but for the last digits, in which processors differ."""
    if now.keys() != before.keys():
        return False
    return all(_is_near(value, before[name]) for name, value in now.items())


def _is_near(value: Any, other: Any) -> bool:
    if isinstance(value, float) and isinstance(other, float):
        return value == other or math.isclose(value, other)
    return bool(value == other)


def _is_inside(space: Space, params: Params) -> bool:
    try:
        space.check(params)
    except StudyError:
        return False
    return True
