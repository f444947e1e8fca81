"""The files of one search, the only truth about its trials.

    <home>/ledger/<study>/<key>/
        search.json                 what was searched, since when, under which definition(s)
        trials/00007/spec.json      the ask: parameters, and which results the engine had been told
                                    before it
        trials/00007/result.json    how it ended; written once, by the worker that trained it
        trials/00007/attempt-1/     folds that are finished, checkpoints; died.json where the
                                    worker was lost
        finalists/00007/0.json      the same parameters on a fresh seed
        finalists/00007/0/          with --cv: fold-1.json, each fold before; all-rows.npz, trained
                                    as the winner is, where it was the only finalist
        winner.json  winner.keras   the honest winner; evaluation.json, its look at the test part
        status.json                 how the last run ended
        known.json  known/          what it began with of another search

The key is the engine and what the command line changed of the study (`optuna-tpe+epochs=5`), so
that the same command finds its search again and another command never mixes with it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuning.errors import ChangedError, DamagedFileError, StudyError
from tuning.ledger.damage import OnDamage, holds_more, leave_out, set_trial_aside
from tuning.ledger.digests import ask_digest
from tuning.ledger.records import (
    Death,
    Definition,
    R,
    SearchHeader,
    SearchStatus,
    load_record,
    read_record,
    write_record,
)
from tuning.ledger.results import keep_result, read_result
from tuning.ledger.winner import Evaluation, FinalistOutcome, WinnerRecord
from tuning.schema import WRONG_SHAPE, Json, check_types, refuse_damaged
from tuning.space.space import Space
from tuning.storage.aside import set_aside
from tuning.storage.checked import load_checked
from tuning.storage.durable import read_json, write_json
from tuning.storage.leftovers import sweep
from tuning.storage.secrets import shown_definition
from tuning.trial import Params, Proposal, Status, TrialResult

LONGEST_KEY = 120
"""Characters of a folder's name: with all that may follow it stays below what file systems take."""

PARETO_FILE = "pareto.json"
"""Among a search's artifacts: the front of several objectives."""

_OF_A_WINNER = (
    "finalists",
    "winner.json",
    "winner.keras",
    "winner.weights.h5",
    "winner.preprocessing.json",
    "winner.inputs.json",
    "winner.threshold.json",
    "evaluation.json",
)
_UNFINISHED = ("trials/*/attempt-*/fold-*", "trials/*/halved.json")
# Values under two of these are not of one kind, and a winner among them would be none.
_INCOMPARABLE = (
    "objective",
    "objectives",
    "constraints",
    "data_digest",
    "test_size",
    "validation_size",
    "split",
    "seed",
    "cv",
)


class SearchFiles:
    """Read and write the files of one search.

    Holds no state, so a second process may read while the first writes. A file of a later release
    is refused by whatever reads it (`NewerFileError`), and left as it is. A damaged one counts as
    none; only without header and asks nothing can be done, and these raise.

    Attributes:
        folder: `<home>/ledger/<study>/<key>`.
        on_damage: Told of damaged files; the process that runs the search sets them aside.
    """

    def __init__(self, folder: Path, on_damage: OnDamage = leave_out) -> None:
        self.folder = folder
        self.on_damage = on_damage

    @property
    def header(self) -> SearchHeader | None:
        """`search.json`; None where the search has not begun.

        Raises:
            DamagedFileError: It is damaged: nothing is known of the search without it.
        """
        return load_record(SearchHeader, self.folder / "search.json")

    def require_header(self) -> SearchHeader:
        """Return `search.json` of a search that has begun.

        Raises:
            StudyError: It is missing.
            DamagedFileError: It is damaged.
        """
        header = self.header
        if header is None:
            path = self.folder / "search.json"
            raise StudyError(f"{path} is missing; put it back from a copy, or run the study again")
        return header

    def write_header(self, header: SearchHeader) -> None:
        """Write `search.json`."""
        write_record(self.folder / "search.json", header)

    def add_version(self, header: SearchHeader) -> None:
        """Enter the definition the search goes on under, where it is another one, and its budget.

        What the earlier definition gave a winner by is set aside: its weights must not be taken
        for the new one's.
        """
        known = self.require_header()
        if differences(known.definition, header.definition):
            # The header last: a kill before it leaves the old definition, and this is done again.
            self._set_winner_aside(self.folder / f"version-{len(known.versions)}")
            self._drop_unfinished()
            n_trials = sum(1 for _ in self.folder.glob("trials/*/spec.json"))
            self.write_header(known.gone_on_as(header, n_trials))
        elif header.trials != known.trials:
            self.write_header(replace(known, trials=header.trials))

    def _set_winner_aside(self, aside: Path) -> None:
        aside.mkdir(exist_ok=True, mode=0o700)
        for name in _OF_A_WINNER:
            path = self.folder / name
            if path.exists():
                path.rename(_free(aside / name))

    def _drop_unfinished(self) -> None:
        """Delete what an attempt would take over from the one before it."""
        for pattern in _UNFINISHED:
            for path in self.folder.glob(pattern):
                path.unlink()

    def trial_folder(self, number: int) -> Path:
        """Where everything about one trial lies."""
        return self.folder / "trials" / f"{number:05d}"

    def write_spec(self, proposal: Proposal) -> Proposal:
        """Keep an ask, and the results told before it, durably and before anything is trained.

        What lies in its folder is of an ask that was lost, and is set aside, unless it is the
        result of this very ask.

        Returns:
            The ask with the digest that its result is to carry.
        """
        stored = proposal.to_json()
        asked = replace(proposal, digest=ask_digest(stored))
        folder = self.trial_folder(proposal.number)
        if holds_more(folder) and not self._is_kept_of(asked):
            fault = "its ask was lost"
            self.on_damage(DamagedFileError(folder / "result.json", fault, foreign=True))
            if holds_more(folder):
                set_trial_aside(folder, with_spec=True)

        stored |= {"digest": asked.digest, "asked_at": time.time()}
        write_json(self._spec_file(proposal.number), stored)
        return asked

    def _is_kept_of(self, asked: Proposal) -> bool:
        """Whether the result of an ask is there, with its digest: only the ask itself was lost."""
        folder = self.trial_folder(asked.number)
        result = read_result(folder, asked.digest, on_damage=lambda error: None)
        return result is not None and result.proposal_digest == asked.digest

    def proposal(self, number: int, space: Space) -> Proposal | None:
        """Return what was asked for under this number; None where it was not.

        Raises:
            ChangedError: Its parameters are not of this space.
            DamagedFileError: The file is torn, or does not hold what we write.
        """
        raw = self._spec(number)
        if raw is None:
            return None

        try:
            params = space.decode(raw.params)
        except WRONG_SHAPE as error:  # StopIteration: a Choice without the value
            header = self.header
            raise ChangedError(
                f"trial {number} was {raw.params}, which is no point of the space any more; "
                "--fresh begins anew",
                where=f"search {None if header is None else header.id}",
            ) from error
        return replace(raw, params=params)

    def known_proposal(self, number: int, space: Space) -> Proposal | None:
        """As `proposal`, but a value that the space does not know stays as JSON has it."""
        raw = self._spec(number)
        if raw is None:
            return None
        with refuse_damaged(self._spec_file(number)):
            params = space.decode_known(raw.params)
        return replace(raw, params=params)

    def _spec(self, number: int) -> Proposal | None:
        """Return what a `spec.json` holds, checked; its parameters as JSON has them."""

        def parse(stored: Json) -> Proposal:
            raw = Proposal.from_json(stored, stored["params"])
            check_types(raw)
            if raw.number != number:
                raise ValueError(f"it is of trial {raw.number}")
            # Earlier versions wrote none.
            digest = ask_digest(stored)
            if stored.get("digest", digest) != digest:
                raise ValueError("it was changed since it was written")
            return replace(raw, digest=digest)

        return load_checked(self._spec_file(number), parse)

    def proposals(self, space: Space) -> Iterator[Proposal]:
        """Yield what was asked for, by number, up to the first number that never was.

        A damaged last one counts as never asked.

        Raises:
            DamagedFileError: A spec with others behind it is: what was asked after it would be
                asked, and written, anew.
            ChangedError: A trial's parameters are not of this space.
        """
        for number in itertools.count():
            try:
                proposal = self.proposal(number, space)
            except DamagedFileError as error:
                if os.path.lexists(self._spec_file(number + 1)):
                    raise
                self.on_damage(error)
                return
            if proposal is None:
                break
            yield proposal

        if os.path.lexists(self._spec_file(number + 1)):
            raise DamagedFileError(self._spec_file(number), "it is missing")

    def _spec_file(self, number: int) -> Path:
        return self.trial_folder(number) / "spec.json"

    def write_result(self, result: TrialResult) -> TrialResult:
        """Keep how a trial ended, unless that is known already; return what is kept."""
        return keep_result(self.trial_folder(result.number), result)

    def result(self, number: int, digest: str | None = None) -> TrialResult | None:
        """Return how a trial ended; None where it has not, or the file is damaged or foreign.

        Args:
            number: The trial.
            digest: `Proposal.digest` of its ask, where that was just read; None: it is read.
        """
        return read_result(self.trial_folder(number), digest, on_damage=self.on_damage)

    def begin_attempt(self, number: int) -> tuple[int, Path]:
        """Return the rank (from 1) and the folder of the next go at a trial."""
        folder = self.trial_folder(number)
        ranks = [int(path.name.removeprefix("attempt-")) for path in folder.glob("attempt-*")]
        attempt = 1 + max(ranks, default=0)
        path = folder / f"attempt-{attempt}"
        # An error where it is there: two drivers would write into one attempt.
        path.mkdir(parents=True, mode=0o700)
        return attempt, path

    def write_death(self, number: int, attempt: int, death: Death) -> None:
        """Keep that an attempt took its worker with it.

        Only these count against a trial, not the end of a driver.
        """
        write_record(self.trial_folder(number) / f"attempt-{attempt}" / "died.json", death)

    def deaths(self, number: int, cause: str = "") -> int:
        """How many attempts at a trial took their worker with them.

        Args:
            number: The trial.
            cause: Count those of this cause alone; "": all.
        """
        paths = self.trial_folder(number).glob("attempt-*/died.json")
        if not cause:
            return sum(1 for _ in paths)
        records = [read_json(path) for path in paths]
        return sum(isinstance(each, dict) and each.get("cause") == cause for each in records)

    def finalist(
        self, number: int, index: int, part: int | str | None = None, *, digest: str = ""
    ) -> FinalistOutcome | None:
        """Return what came of a trial's parameters on the fresh seed number `index`.

        Args:
            number: The trial.
            index: Of the seed.
            part: A fold by its number, another part of the rows by its name; None: all of it.
            digest: `finalist_digest` of what was to be trained; "": not known.
        """
        path = self.finalist_file(number, index, part)
        outcome = self._record(FinalistOutcome, path)
        if outcome is None:
            return None
        is_others = bool(digest and outcome.digest) and digest != outcome.digest
        if is_others or (outcome.number, outcome.index) != (number, index):
            fault = "it is of other parameters, epochs or another study"
            self.on_damage(DamagedFileError(path, fault, foreign=True))
            return None
        return outcome

    def finalist_file(self, number: int, index: int, part: int | str | None = None) -> Path:
        """Where that is kept, or one part of it: a fold by its number, another by its name."""
        folder = self.folder / "finalists" / f"{number:05d}"
        if part is None:
            return folder / f"{index}.json"
        name = f"fold-{part}" if isinstance(part, int) else part
        return folder / str(index) / f"{name}.json"

    def write_finalist(self, outcome: FinalistOutcome) -> None:
        """Keep what came of a trial's parameters on a fresh seed."""
        write_record(self.finalist_file(outcome.number, outcome.index), outcome)

    @property
    def evaluation_file(self) -> Path:
        """Where the winner's look at the test part is kept."""
        return self.folder / "evaluation.json"

    @property
    def evaluation(self) -> Evaluation | None:
        """`evaluation.json`; None where no winner has been evaluated."""
        return self._record(Evaluation, self.evaluation_file)

    @property
    def winner_file(self) -> Path:
        """Where the winner is kept."""
        return self.folder / "winner.json"

    @property
    def winner(self) -> WinnerRecord | None:
        """`winner.json`; None where there is no winner."""
        return self._record(WinnerRecord, self.winner_file)

    def write_winner(self, winner: WinnerRecord) -> None:
        """Keep the winner."""
        write_record(self.winner_file, winner)

    @property
    def status(self) -> SearchStatus | None:
        """`status.json`; None where no run has got so far."""
        return self._record(SearchStatus, self.folder / "status.json")

    def write_status(self, status: SearchStatus) -> None:
        """Keep how the run ends, or that it runs."""
        write_record(self.folder / "status.json", status)

    def _record(self, kind: type[R], path: Path) -> R | None:
        return read_record(kind, path, on_damage=self.on_damage)


def _free(path: Path) -> Path:
    """Return a path beside which there is none.

    A move that a kill cut short has left something there.
    """
    others = (path.with_name(f"{path.name}~{i}") for i in itertools.count(2))
    return next(other for other in itertools.chain([path], others) if not other.exists())


def search_key(engine: str, pruner: str, variant: Params) -> str:
    """Return the folder name of a search: `optuna-tpe-asha+cv=3+epochs=5`.

    A long one ends in a hash.
    """
    name = engine.replace(":", "-")
    if pruner != "none":
        name += f"-{pruner}"
    changes = [
        f"{field}={_word(value)}"
        for field, value in sorted(variant.items())
        if field not in ("engine", "pruner")
    ]

    key = "+".join([name, *changes])
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[:100]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def _word(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", str(value))


def begin(
    folder: Path,
    header: SearchHeader,
    *,
    fresh: bool,
    allow_change: bool,
    on_damage: OnDamage = leave_out,
) -> SearchFiles:
    """Open the search in `folder`, or begin it; call only while its lock is held.

    Beside a damaged header the trials are gone on with, for replaying them shows whether they fit.
    What a killed run was writing is deleted.

    Args:
        folder: `<home>/ledger/<study>/<key>`.
        header: What `search.json` shall say; its definition is compared with the one the search
            was begun under.
        fresh: Set an existing search aside (nothing is deleted) and begin anew.
        allow_change: Go on although the definition differs; `add_version` once the engine has gone
            along with it.
        on_damage: What is done about the search's damaged files.

    Raises:
        ChangedError: The definition differs; lists each difference and what would work.
        NewerFileError: A later release has searched here; nothing was touched.
    """
    files = SearchFiles(folder, on_damage)
    try:
        known = files.header
    except DamagedFileError as error:
        known = None
        if not fresh:  # else it is kept as it is, with all the rest
            on_damage(error)
    has_trials = any(folder.glob("trials/*/spec.json"))
    if fresh and (known is not None or has_trials):
        word = secrets.token_hex(4) if known is None else known.id.rsplit("-", 1)[-1]
        folder.rename(folder.with_name(f"{folder.name}~{word}"))
        known, has_trials = None, False

    if known is None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.path.lexists(folder / "search.json"):
            set_aside(folder / "search.json")
        files.write_header(
            replace(
                header,
                id=f"{header.study}-{header.engine.replace(':', '-')}-{secrets.token_hex(4)}",
                created_at=time.time(),
                recovered=has_trials,
            )
        )
    else:
        _check_definition(known, header.definition, allow_change=allow_change)
        sweep(folder)
    return files


def _check_definition(known: SearchHeader, new: Definition, *, allow_change: bool) -> None:
    old = known.definition
    faults = differences(old, new)
    if not faults:
        return

    incomparable = [name for name in _INCOMPARABLE if old.get(name) != new.get(name)]
    if incomparable:
        cure = (
            f"values under another {' and '.join(incomparable)} cannot be compared: use --fresh "
            "(the old search is kept)"
        )
    elif not allow_change:
        cure = (
            "use --fresh to begin anew (the old search is kept) or --allow-change to go on with it"
        )
    else:
        return

    raise ChangedError(
        [*faults[:-1], f"{faults[-1]}; {cure}"],
        where=f"search {known.id} was begun under another definition",
    )


def differences(old: Json, new: Json) -> list[str]:
    """Return one sentence for each field, and each parameter of the space, that differs."""
    # Files of earlier releases hold keys and passwords as they are.
    old = shown_definition(old)
    new = shown_definition(new)

    faults = []
    for name in sorted({*old, *new}):
        before = old.get(name)
        after = new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            faults += [f"{name}.{fault}" for fault in differences(before, after)]
        elif before != after:
            faults.append(f"{name} was {before!r}, is {after!r}")
    return faults


def counts(statuses: Iterable[Status]) -> dict[str, int]:
    """Count trials as the command line reports them: completed, pruned, failed, infeasible.

    Diverged ones count as failed.
    """
    totals = {"completed": 0, "pruned": 0, "failed": 0, "infeasible": 0}
    for status in statuses:
        counted = Status.FAILED if status is Status.DIVERGED else status
        totals[counted.value] += 1
    return totals
