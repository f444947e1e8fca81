"""An engine in a process of its own: the driver imports neither TensorFlow nor a study file.

The engine process runs `serve`; the driver holds a `RemoteEngine` at the other end of the
connection.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tuning.engines.base import Engine
from tuning.engines.memory.memory import Entries, memory_of
from tuning.engines.memory.replay import Step, replay
from tuning.errors import StudyError, TuningError
from tuning.storage.secrets import without_secrets
from tuning.study.info import StudyInfo, dataset_facts, describe
from tuning.trial import EpochReport, Pause, Proposal, TrialResult
from tuning.trials.jobs import Overrides, Source

if TYPE_CHECKING:
    from tuning.data.dataset import Dataset
    from tuning.data.parts import Part, Parts
    from tuning.study.builder_arguments import SplitParams
    from tuning.study.study import Study

REPLAY = "replay"
"""The call of several others at once, see `tuning.engines.memory.replay`."""
_CALLS = ("ask", "adopt", "report", "tell", "artifacts", "restore")
_CHANGES_MEMORY = ("ask", "adopt", "tell", REPLAY)
_GONE = (
    "the engine process has ended, with all the engine knew (out of memory, or killed?); "
    "the results are on disk: the same command goes on from them"
)


class EngineLost(TuningError):
    """The engine process has ended, or was ended; the text says how, where that is known."""


class Connection(Protocol):
    """Either end: picklable messages; `EOFError`, `ConnectionError` where the other is gone."""

    def send(self, message: Any, /) -> None:
        """Send one message."""

    def recv(self) -> Any:
        """Wait for one message."""

    def close(self) -> None:
        """Hang up."""


class RemoteEngine:
    """The driver's side: it raises errors of the engine process with the same class and text.

    Args:
        connection: To the engine process.
        memory: Gets what the engine knows, with each answer; stays empty where the engine has no
            memory, see `Remembering`.

    Raises:
        EngineLost: From any method, where the engine process has died.
    """

    def __init__(self, connection: Connection, memory: dict[str, bytes] | None = None) -> None:
        self.notices: tuple[str, ...] = ()
        """Known once `describe` has returned."""
        self._connection = connection
        self._memory = {} if memory is None else memory
        self._info: StudyInfo | None = None

    def describe(self) -> StudyInfo:
        """Wait until the study is checked and its engine made; return what the driver may know.

        Raises:
            StudyError: The study, its data or its builder is wrong.
            MissingError: Data or a package is not there.
        """
        if self._info is None:
            info: StudyInfo = self._answer()
            self._info = info
            self.notices = info.notices
        return self._info

    def ask(self, number: int) -> Proposal | Pause:
        """Return what the engine proposes."""
        answer: Proposal | Pause = self._call("ask", number)
        return answer

    def adopt(self, proposal: Proposal) -> bool:
        """Return whether the engine takes the proposal of an earlier run."""
        return bool(self._call("adopt", proposal))

    def report(self, report: EpochReport) -> bool:
        """Return whether the engine wants the trial pruned."""
        return bool(self._call("report", report))

    def tell(self, result: TrialResult) -> None:
        """Tell the engine how a trial ended."""
        self._call("tell", result)

    def replay(self, steps: Sequence[Step]) -> list[Proposal | Pause]:
        """Return the engine's answers to the first of some asks of an earlier run."""
        answers: list[Proposal | Pause] = self._call(REPLAY, steps)
        return answers

    def restore(self) -> None:
        """Have the engine know what is in the memory."""
        self._call("restore", dict(self._memory))

    def artifacts(self) -> Mapping[str, str]:
        """Return the engine's own files."""
        files: Mapping[str, str] = self._call("artifacts")
        return files

    def close(self) -> None:
        """End the engine process; one that still loads its study ends by itself when it is done."""
        try:
            # Before that it would not read the message, and closing would wait for TensorFlow.
            if self._info is not None:
                self._connection.send(("close",))
                error, *_ = self._connection.recv()
                if error is not None:
                    raise error
        except (EOFError, ConnectionError):
            return  # it has ended already; whoever called it last has had the error
        finally:
            self._connection.close()

    def _call(self, name: str, *args: Any) -> Any:
        # The first message is the answer to `describe`: else it would be taken for this call's.
        self.describe()
        try:
            self._connection.send((name, *args))
        except ConnectionError as error:
            raise EngineLost(_gone(error)) from error
        return self._answer()

    def _answer(self) -> Any:
        try:
            error, value, *entries = self._connection.recv()
        except (EOFError, ConnectionError) as gone:
            raise EngineLost(_gone(gone)) from gone
        if error is not None:
            raise error
        for changed in entries:
            self._memory.update(changed)
        return value


def _gone(error: Exception) -> str:
    """Return why the engine is gone; a bare wire knows nothing of its process."""
    return _GONE if isinstance(error, EOFError | BrokenPipeError) else str(error)


def serve(connection: Connection, source: Source, overrides: Overrides) -> None:
    """Be the engine process: load and check the study, then answer until the driver hangs up.

    Args:
        connection: To the driver.
        source: The study.
        overrides: Study fields set on the command line.
    """
    # The builder is tried here, on the CPU; GPUs are the workers' alone.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        engine, info = prepare(source, overrides)
    except BaseException as error:  # a study file may call sys.exit(), or raise anything
        # Whatever it is, the driver raises it; one that is gone needs no reply.
        with contextlib.suppress(ConnectionError):
            _reply(connection, error)
        return

    # A driver that is gone ends the calls as "close" does.
    with contextlib.suppress(EOFError, ConnectionError):
        _reply(connection, None, info)
        _answer_calls(connection, engine)

    failure = None
    try:
        engine.close()
    except Exception as error:  # the driver raises it
        failure = error
    with contextlib.suppress(ConnectionError):
        _reply(connection, failure)


def _answer_calls(connection: Connection, engine: Engine) -> None:
    """Answer until told to close."""
    while True:
        name, *args = connection.recv()
        if name == "close":
            return
        answer = None
        failure = None
        entries = None
        try:
            answer = _answer(engine, name, *args)
            if name in _CHANGES_MEMORY:
                entries = memory_of(engine)
        except BaseException as error:  # the driver raises it, and may go on with this engine
            failure = error
        _reply(connection, failure, answer, entries)


def _answer(engine: Engine, name: str, *args: Any) -> Any:
    if name == REPLAY:
        return replay(engine, *args)
    if name not in _CALLS:
        raise ValueError(f"an engine has no '{name}'")
    return getattr(engine, name)(*args)


def prepare(source: Source, overrides: Overrides) -> tuple[Engine, StudyInfo]:
    """Load and check a study; return its engine, fresh, and what a driver may know of it.

    Raises:
        StudyError: The study, its data or its builder is wrong.
        MissingError: Data or a package is not there.
    """
    from tuning.data.facts import notices_on
    from tuning.engines.catalog import make_engine
    from tuning.scoring.class_weights import class_weight_faults
    from tuning.scoring.imbalance import imbalance_advice
    from tuning.study.source import load_source
    from tuning.study.study_data import count_folds, load_dataset, split_dataset
    from tuning.study.study_file import find_study
    from tuning.trials.worker_study import WorkerStudy, check_objective

    study = load_source(source, overrides)
    dataset = load_dataset(study)
    _check_stream(study, dataset)
    parts = split_dataset(study, dataset)

    # Each of these raises now what would else fail every trial.
    n_folds = count_folds(study, parts)
    check_objective(study, dataset.task)
    _try_builder(study, dataset, parts)
    faults = list(class_weight_faults(study, dataset.task, dataset.classes))
    if faults:
        raise StudyError(faults, where=f"study '{study.name}'")

    engine = make_engine(study, lambda: parts)
    file = str(find_study(source)) if isinstance(source, str) else ""
    info = describe(
        study,
        dataset_facts(dataset, parts),
        file=file,
        notices=(
            *notices_on(dataset),
            *parts.notices,
            *imbalance_advice(study, dataset),
            *WorkerStudy(study, parts, {}).notices(),
            *study.space.notes,
            *engine.notices,
        ),
        n_folds=n_folds,
        trains_to_test=parts.trains_to_test,
    )
    return engine, info


def _check_stream(study: Study, dataset: Dataset) -> None:
    from tuning.data.faults import cut_faults
    from tuning.data.kinds.stream_checks import stream_faults
    from tuning.study.engine_spec import engine_spec

    cutting_engine = study.engine if engine_spec(study.engine).one_data_set else ""
    faults = list(
        stream_faults(
            dataset,
            searched=study.space.domains,
            has_folds=study.cv is not None,
            weighs_classes=study.class_weight is not None or "class_weight" in study.space.domains,
            cutting_engine=cutting_engine,
        )
    )
    if cutting_engine:
        faults += cut_faults(dataset, cutting_engine)
    if faults:
        raise StudyError(faults, where=f"study '{study.name}'")


def _sample(dataset: Dataset, parts: Parts) -> Part | None:
    """Return two rows to try the builder on; None where there are none to be had as they are."""
    import numpy as np

    from tuning.data.arrays import leaves

    # Cells of a table are no inputs yet, and rows that are made later have no array.
    is_made = all(isinstance(X, np.ndarray) for X in leaves(parts.train.X))
    return None if dataset.columns or not is_made else parts.train.take(np.arange(2))


def _try_builder(study: Study, dataset: Dataset, parts: Parts) -> None:
    """Build the model at the low end of the space, the cheapest there is."""
    from tuning.builders.check import check_builder
    from tuning.data.arrays import count_rows
    from tuning.scoring.measure import measure_of
    from tuning.study.objective import others_asked
    from tuning.study.study_data import (
        arguments_text,
        default_arguments,
        load_dataset,
        split_dataset,
    )
    from tuning.trials.functions import evaluate

    point = study.space.lowest()
    if study.trainer == "function":
        # One that asks for its parameters was run to find them; it may train for hours.
        if not getattr(study.builder, "asks_for_parameters", False):
            evaluate(study, point, epoch=1, seed=study.seed)
        return

    split = study.split_params(point)
    if arguments_text(study, split.data) != arguments_text(study, default_arguments(study)):
        dataset = load_dataset(study, split.data)
        parts = split_dataset(study, dataset)  # rows of another window have another shape
    # A `fit` of the user's own may tell what the compiled model does not.
    has_own_fit = bool(getattr(study.space, "own_fit", ""))
    for objective in (study.objective, *others_asked(study)):
        measure = measure_of(objective, dataset.task)
        is_known = measure is not None or objective.name == "loss" or has_own_fit
        check_builder(
            study.builder,
            {**study.from_data(dataset), **split.builder},
            input_shape=dataset.input_shape,
            task=dataset.task,
            n_outputs=dataset.n_outputs,
            metric="" if is_known else objective.name,
            measure=measure,
            sample=_sample(dataset, parts),
            one_hot=dataset.one_hot,
        )
    _try_callbacks(study, split, count_rows(dataset.y))


def _try_callbacks(study: Study, point: SplitParams, n_rows: int) -> None:
    """Make callbacks twice: two fits that got the same ones would learn from each other."""
    import tempfile

    from tuning.builders.callbacks import make_callbacks

    if study.callbacks is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            make_callbacks(study, point, epochs=point.epochs, n_rows=n_rows, folder=Path(folder))


def _reply(
    connection: Connection,
    error: BaseException | None,
    value: Any = None,
    entries: Entries | None = None,
) -> None:
    failure = None if error is None else _clean(_for_driver(error))
    connection.send((failure, value) if entries is None else (failure, value, entries))


def _clean(error: TuningError) -> TuningError:
    """Take out secrets: the driver, which shows it, does not know those of the study."""
    error.args = tuple(without_secrets(str(part)) for part in error.args)
    if isinstance(error, StudyError):
        error.faults = tuple(without_secrets(fault) for fault in error.faults)
    return error


def _for_driver(error: BaseException) -> TuningError:
    """Return the error to raise in the driver, which can be pickled whatever the original holds.

    Ours as it is, a user's with file and line, any other as its traceback.
    """
    if isinstance(error, TuningError):
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - written in this line
            return error
        except (TypeError, AttributeError, pickle.PicklingError):
            return TuningError(f"{type(error).__name__}: {error}")
    place = _user_line(error)
    if place:
        return StudyError(f"{place}: {type(error).__name__}: {error}")
    return TuningError("the engine failed:\n" + "".join(traceback.format_exception(error)).rstrip())


def _user_line(error: BaseException) -> str:
    """Return `file:line` of the innermost frame of a user's code, or "" where there is none."""
    ours = (str(Path(__file__).parents[1]), *sysconfig.get_paths().values(), "<frozen")
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(ours)]
    return f"{theirs[-1].filename}:{theirs[-1].lineno}" if theirs else ""
