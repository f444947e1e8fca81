"""`open_search`: from a checked study to a locked folder that knows its definition."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tuning.ledger.begin import begin, search_key
from tuning.ledger.damage import SetAside
from tuning.ledger.header import changed_libraries, search_header
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.search.known_trials import KnownTrials, known_trials
from tuning.search.lr_bounds import LRBounds, measure_lr_bounds
from tuning.search.options import RunOptions
from tuning.search.processes import SearchProcesses
from tuning.storage.locks import search_locked
from tuning.study.info import StudyInfo
from tuning.trials.jobs import Source


@dataclass(frozen=True, kw_only=True)
class OpenSearch:
    """A search that may begin, or go on.

    Attributes:
        study: With the bounds and first points below.
        options: The run's, with the same.
        files: Its folder.
        header: What `search.json` shall say once the engine has gone along with it.
        lr_bounds: Of a range test.
        known: What another search gives.
    """

    study: StudyInfo
    options: RunOptions
    files: SearchFiles
    header: SearchHeader
    lr_bounds: LRBounds
    known: KnownTrials


def open_search(
    stack: ExitStack,
    processes: SearchProcesses,
    source: Source,
    options: RunOptions,
    *,
    home: Path,
    other: SearchFiles | None,
    notice: Callable[[str], None],
) -> OpenSearch:
    """Wait for the study's check; lock its folder; find its bounds and first points.

    Args:
        stack: Holds the lock.
        processes: With the engine that checks the study.
        source: The study.
        options: Of the run.
        home: The state folder.
        other: The search that `options.source` names; None: there is none.
        notice: Told what is done, and what has changed.

    Raises:
        StudyError: The study or the options are wrong, or another study's search lies there.
        BusyError: Another process runs this search.
    """
    info = processes.engine.describe()
    variant = options.variant_of(info.engine)
    # Begun with another search it is a search of its own.
    begun_with = {} if other is None else {"from": other.require_header().id}
    key = search_key(info.engine, info.pruner, {**variant, **begun_with})
    folder = home / "ledger" / info.name / key
    stack.enter_context(search_locked(folder, f"process {os.getpid()} on {platform.node()}"))

    lr_bounds = measure_lr_bounds(
        info,
        source,
        info.for_workers(options.overrides),
        folder,
        fresh=options.fresh,
        again=options.allow_change,
        devices=options.devices,
        forkserver=processes.forkserver,
        notice=notice,
    )
    space = info.space.narrowed(lr_bounds.intervals)
    known = known_trials(info, space, other, folder, fresh=options.fresh)
    if lr_bounds.intervals or known.points:
        # The study is another one now: the engine is started on that.
        options = replace(options, intervals=lr_bounds.intervals, initial=list(known.points))
        processes.begin_engine(options.overrides)
        info = processes.engine.describe()

    header = replace(
        search_header(info, variant),
        intervals=dict(lr_bounds.intervals),
        source=known.search,
    )
    files = _begin(folder, header, options, notice)
    known.keep()
    processes.engine.replays_from(files)
    return OpenSearch(
        study=info,
        options=options,
        files=files,
        header=header,
        lr_bounds=lr_bounds,
        known=known,
    )


def _begin(
    folder: Path, header: SearchHeader, options: RunOptions, notice: Callable[[str], None]
) -> SearchFiles:
    files = begin(
        folder,
        header,
        fresh=options.fresh,
        allow_change=options.allow_change,
        on_damage=SetAside(notice),
    )
    libraries = changed_libraries(files.require_header(), header)
    if libraries:
        notice(libraries)
    return files
