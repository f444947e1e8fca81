"""`SupervisedEngine`: an engine process that is begun anew where it dies or hangs.

The new one is given what the last one knew, which came with each of its answers; where an engine
has no such memory, it is told again what the ledger's files say, and its proposals are compared
with those in the files, as after a rerun of the command. So its end costs some seconds, not the
search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from tuning.engines.memory.replay import MOST_STEPS, Step, Told
from tuning.engines.remote import EngineLost, RemoteEngine
from tuning.errors import ChangedError, StudyError, TuningError
from tuning.executors.forkserver import ForkServer
from tuning.executors.supervision.parts import ENGINE, FORKSERVER, backoff_s
from tuning.ledger.search import SearchFiles
from tuning.search.engine_link import EngineLink
from tuning.search.replay import ask_again, told
from tuning.search.stop_request import StopRequest
from tuning.study.info import StudyInfo
from tuning.trial import EpochReport, Pause, Proposal, TrialResult
from tuning.trials.jobs import Overrides, Source

_T = TypeVar("_T")


@dataclass
class _Losses:
    """How often a process was lost in a row, each by what lets it come to an end.

    Apart, because killed while it loads its study, and with a forkserver, it has shown nothing of
    what it does with a call.

    Attributes:
        calls: In a call, or between two; none was answered since.
        begins: Before it was where the last one had been; none has come so far since.
        with_server: Because the forkserver ended, the same.
    """

    calls: int = 0
    begins: int = 0
    with_server: int = 0

    @property
    def in_all(self) -> int:
        """All that count still."""
        return self.calls + self.begins + self.with_server

    @property
    def are_too_many(self) -> bool:
        """Whether another process would most likely end as well."""
        by_itself = max(self.calls, self.begins)
        return by_itself > ENGINE.restarts or self.with_server > FORKSERVER.restarts

    def has_begun(self) -> None:
        """Take note that a process has come to where the last one was."""
        self.begins = 0
        self.with_server = 0


class SupervisedEngine:
    """The engine of one search, whichever process it is in.

    Attributes:
        notices: Known once `describe` has returned.
        begun: There is, or was, a process.

    Args:
        forkserver: What its processes are forked from.
        source, overrides: The study.
        answer_s: So long one answer may take.
        stop_request: Once it is not to be waited for any longer, every call raises.
        notice: Told what is waited for, and what is begun anew.
        info: What is known of the study already: a process is begun with the first call that needs
            one. None: at once.

    Raises:
        TuningError: From any method: the engine was lost again and again, or the run is to end.
    """

    def __init__(
        self,
        forkserver: ForkServer,
        source: Source,
        overrides: Overrides,
        *,
        answer_s: float,
        stop_request: StopRequest,
        notice: Callable[[str], None],
        info: StudyInfo | None = None,
    ) -> None:
        self.notices: tuple[str, ...] = ()
        self.begun = False
        self._forkserver = forkserver
        self._study = (source, overrides)
        self._answer_s = answer_s
        self._stop_request = stop_request
        self._notice = notice

        self._info = info
        self._files: SearchFiles | None = None
        # What the engine knows: so many asks; since the last of them, these tells; and the epochs
        # of trials that have not ended.
        self._n_asked = 0
        self._tells: list[int] = []
        self._reports: list[EpochReport] = []
        # What the engine itself says it knows but those reports, see `Remembering`; or empty.
        self._memory: dict[str, bytes] = {}
        self._losses = _Losses()
        self._closed = False
        if info is None:
            self._begin()

    def replays_from(self, files: SearchFiles) -> None:
        """Name the files that a new process is told; before the first ask."""
        self._files = files

    def describe(self) -> StudyInfo:
        """Wait until the study is checked and its engine made; return what the driver may know.

        Raises:
            StudyError: The study, its data or its builder is wrong, or ends its process.
            MissingError: Data or a package is not there.
        """
        while self._info is None:
            try:
                self._info = self._remote.describe()
                self._losses.has_begun()
            except EngineLost as lost:
                self._raise_where_hopeless(lost)
                self._count_loss(lost, in_call=False)
                self._begin()
        self.notices = self._info.notices
        return self._info

    def ask(self, number: int) -> Proposal | Pause:
        """Return what the engine proposes."""
        answer = self._answer(lambda: self._remote.ask(number))
        if isinstance(answer, Proposal):
            self._n_asked += 1
            self._tells = []
        self._forget_reports()
        return answer

    def replay(self, steps: Sequence[Step]) -> list[Proposal | Pause]:
        """Return what the engine proposes to the first of some asks of an earlier run."""
        answers = self._answer(lambda: self._remote.replay(steps))
        for step, answer in zip(steps, answers, strict=False):
            self._tells += [trial.result.number for trial in step.told]
            if isinstance(answer, Proposal):
                self._n_asked += 1
                self._tells = []
        self._forget_reports()
        return answers

    def adopt(self, proposal: Proposal) -> bool:
        """Return whether the engine takes the proposal of an earlier run."""

        def ask_and_adopt() -> bool:
            self._remote.ask(proposal.number)
            return self._remote.adopt(proposal)

        if self._memory:  # the ask is in it
            return self._answer(lambda: self._remote.adopt(proposal))
        try:
            return self._remote.adopt(proposal)
        except EngineLost as lost:
            # The ask that this belongs to is asked anew with it, so it has not been yet.
            self._n_asked = proposal.number
            self._tells = list(proposal.tells)
            self._begin_anew(lost)
        is_adopted = self._answer(ask_and_adopt)
        self._n_asked += 1
        self._tells = []
        return is_adopted

    def report(self, report: EpochReport) -> bool:
        """Return whether the engine wants the trial pruned."""
        is_pruned = self._answer(lambda: self._remote.report(report))
        self._reports.append(report)
        return is_pruned

    def tell(self, result: TrialResult) -> None:
        """Tell the engine how a trial ended."""
        self._answer(lambda: self._remote.tell(result))
        self._tells.append(result.number)
        self._reports = [each for each in self._reports if each.number != result.number]
        self._forget_reports()

    def artifacts(self) -> Mapping[str, str]:
        """Return the engine's own files."""
        return self._answer(self._remote_artifacts)

    def close(self, *, at_once: bool = False) -> None:
        """End the process; it may have some seconds for its last words, unless `at_once`.

        May be called twice.
        """
        if self._closed:
            return
        self._closed = True
        if not self.begun:
            return
        self._link.closing = True
        if at_once:
            self._link.kill()
        try:
            self._remote.close()
        finally:
            self._link.kill()  # one that still loads its study, or does not answer
            self._child.close()

    def _forget_reports(self) -> None:
        """Keep none that the engine's memory has."""
        if self._memory:
            self._reports = []

    def _remote_artifacts(self) -> Mapping[str, str]:
        return self._remote.artifacts()

    # --- the process ---

    def _begin(self) -> None:
        self.begun = True
        self._child = self._forkserver.spawn(
            "tuning.engines.remote:serve", self._study, name=ENGINE.name
        )
        self._link = EngineLink(
            self._forkserver,
            self._child,
            answer_s=self._answer_s,
            stop_request=self._stop_request,
            notice=self._notice,
        )
        self._remote = RemoteEngine(self._link, self._memory)

    def _answer(self, call: Callable[[], _T]) -> _T:
        """Return what the engine answers, begun anew as often as that may help."""
        if not self.begun:
            self._begin_late()
        self.describe()
        while True:
            try:
                answer = call()
            except EngineLost as lost:
                self._begin_anew(lost)
            else:
                self._losses = _Losses()
                return answer

    def _begin_late(self) -> None:
        """Begin the process of a study that was known without one.

        Raises:
            ChangedError: It is another study by now.
        """
        known = self.describe()
        self._info = None
        self._begin()
        self._check_study(self.describe(), known)

    def _begin_anew(self, lost: EngineLost) -> None:
        """Bring a new process to where the lost one was.

        Raises:
            TuningError: That fails again and again.
        """
        in_call = True
        while True:
            self._count_loss(lost, in_call=in_call)
            in_call = False
            began_at = time.monotonic()
            try:
                self._begin()
                self._check_study(self._remote.describe(), self.describe())
                self._replay()
            except EngineLost as again:
                lost = again
                continue
            self._losses.has_begun()
            seconds = time.monotonic() - began_at
            self._notice(f"a new engine was told {self._n_asked} trials again in {seconds:.1f} s")
            return

    def _count_loss(self, lost: EngineLost, *, in_call: bool) -> None:
        """End what is left of a process, and wait a moment before the next.

        Raises:
            TuningError: It was lost too often, or the whole run is to end.
        """
        self._link.closing = True
        self._link.kill()
        self._link.close()
        self._child.close()
        # systemd and Slurm signal all processes of a job, the driver maybe last.
        if self._stop_request.by_signal_soon():
            raise lost

        if self._child.server_gone:
            self._losses.with_server += 1
        elif in_call:
            self._losses.calls += 1
        else:
            self._losses.begins += 1
        if self._losses.are_too_many:
            raise EngineLost(
                f"the engine was lost {self._losses.in_all} times in a row, the last time because "
                f"{lost}; the results are on disk: the same command goes on from them"
            ) from lost
        self._notice(f"{lost}; a new one is begun")
        time.sleep(backoff_s(self._losses.in_all))

    def _raise_where_hopeless(self, lost: EngineLost) -> None:
        """Raise where another process would end in the same way, before anything was searched."""
        source, _ = self._study
        where = f"study '{source}'" if isinstance(source, str) else "the study"
        if self._link.too_slow:
            raise TuningError(
                f"{where}: loading and checking it took more than {self._answer_s:g} s; is there "
                "a loop without end? --engine-timeout allows more"
            ) from lost
        if self._link.exit_code is not None and self._link.exit_code >= 0:
            raise StudyError(
                f"loading it ended its process with exit code {self._link.exit_code}; does the "
                "study file, or something it imports, call os._exit?",
                where=where,
            ) from lost

    # --- what a new process is told ---

    @staticmethod
    def _check_study(info: StudyInfo, before: StudyInfo) -> None:
        if (info.hash, info.data.digest) != (before.hash, before.data.digest):
            raise ChangedError(
                "the study or its data changed while it was searched; put them back and run again, "
                "or use --fresh",
                where=f"study '{info.name}'",
            )

    def _replay(self) -> None:
        """Tell what the last process knew, then the epochs since.

        Where it had no memory, ask and tell in the order of the files.
        """
        if self._memory:
            self._remote.restore()
        elif self._files is not None:
            study = self.describe()
            steps = self._steps(self._files)
            while some := list(islice(steps, MOST_STEPS)):
                for _ in ask_again(self._remote, study, self._files.header, some):
                    pass  # each is compared with its file
            for number in self._tells:
                self._tell_again(self._told(self._files, number))
        for report in self._reports:
            self._remote.report(report)

    def _steps(self, files: SearchFiles) -> Iterator[Step]:
        """Yield what the last process was asked, in the order of the files."""
        for before in files.proposals(self.describe().space):
            if before.number == self._n_asked:  # in the middle of a first replay
                return
            yield Step(tuple(self._told(files, number) for number in before.tells), before)

    def _told(self, files: SearchFiles, number: int) -> Told:
        result = files.result(number)
        if result is None:
            raise TuningError(f"the result of trial {number} is damaged; the same command mends it")
        return told(self.describe(), result)

    def _tell_again(self, trial: Told) -> None:
        for report in trial.reports:
            self._remote.report(report)
        self._remote.tell(trial.result)
