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
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tuning.errors import ChangedError, DamagedFileError, StudyError
from tuning.ledger.damage import OnDamage, leave_out
from tuning.ledger.deaths import count_deaths, keep_death
from tuning.ledger.records import (
    Death,
    R,
    SearchHeader,
    SearchStatus,
    load_record,
    read_record,
    write_record,
)
from tuning.ledger.results import keep_result, read_result
from tuning.ledger.specs import SPEC_FILE, keep_spec, read_spec
from tuning.ledger.usage import Usage, used_before
from tuning.ledger.versions import differences, drop_unfinished, set_winner_aside
from tuning.ledger.winner import Evaluation, FinalistOutcome, WinnerRecord
from tuning.schema import WRONG_SHAPE, refuse_damaged
from tuning.space.space import Space
from tuning.trial import Proposal, TrialResult

PARETO_FILE = "pareto.json"
"""Among a search's artifacts: the front of several objectives."""


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
            set_winner_aside(self.folder, self.folder / f"version-{len(known.versions)}")
            drop_unfinished(self.folder)
            n_trials = sum(1 for _ in self.folder.glob("trials/*/spec.json"))
            self.write_header(known.gone_on_as(header, n_trials))
        elif header.trials != known.trials:
            self.write_header(replace(known, trials=header.trials))

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
        return keep_spec(self.trial_folder(proposal.number), proposal, on_damage=self.on_damage)

    def proposal(self, number: int, space: Space) -> Proposal | None:
        """Return what was asked for under this number; None where it was not.

        Raises:
            ChangedError: Its parameters are not of this space.
            DamagedFileError: The file is torn, or does not hold what we write.
        """
        raw = read_spec(self._spec_file(number), number)
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
        raw = read_spec(self._spec_file(number), number)
        if raw is None:
            return None
        with refuse_damaged(self._spec_file(number)):
            params = space.decode_known(raw.params)
        return replace(raw, params=params)

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
                # The last one: a kill came before it was durable, so nothing was trained for it.
                self.on_damage(error)
                return
            if proposal is None:
                break
            yield proposal

        # Asks are written in their order: a gap was made by somebody else.
        if os.path.lexists(self._spec_file(number + 1)):
            raise DamagedFileError(self._spec_file(number), "it is missing")

    def _spec_file(self, number: int) -> Path:
        return self.trial_folder(number) / SPEC_FILE

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
        keep_death(self.trial_folder(number), attempt, death)

    def used(self, number: int, attempt: int) -> Usage:
        """Return what the attempts at a trial have used, up to this one."""
        return used_before(self.trial_folder(number), attempt + 1)

    def deaths(self, number: int, cause: str = "") -> int:
        """How many attempts at a trial took their worker with them.

        Args:
            number: The trial.
            cause: Count those of this cause alone; "": all.
        """
        return count_deaths(self.trial_folder(number), cause, on_damage=self.on_damage)

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
        """`winner.json`; None where there is no winner, or it is another search's."""
        winner = self._record(WinnerRecord, self.winner_file)
        if winner is None or not winner.search:
            return winner
        header = self.header
        # Beside a header that was lost the search has another id than its winner knows.
        if header is not None and not header.recovered and header.id != winner.search:
            fault = f"it is of search {winner.search}"
            self.on_damage(DamagedFileError(self.winner_file, fault, foreign=True))
            return None
        return winner

    def write_winner(self, winner: WinnerRecord) -> None:
        """Keep the winner, as this search's."""
        header = self.header
        search = "" if header is None else header.id
        write_record(self.winner_file, replace(winner, search=search))

    @property
    def status(self) -> SearchStatus | None:
        """`status.json`; None where no run has got so far."""
        return self._record(SearchStatus, self.folder / "status.json")

    def write_status(self, status: SearchStatus) -> None:
        """Keep how the run ends, or that it runs."""
        write_record(self.folder / "status.json", status)

    def _record(self, kind: type[R], path: Path) -> R | None:
        return read_record(kind, path, on_damage=self.on_damage)
