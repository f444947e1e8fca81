"""`NodeFiles`: the files of one job on a node, and which have changed; `NodeJobs`: one by one."""

from __future__ import annotations

import pickle
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tuning.executors.base import Job
from tuning.executors.cluster.travel import (
    CALLBACKS,
    Changes,
    Luggage,
    Places,
    Sent,
    is_temporary,
)
from tuning.storage.durable import open_file

_LOOK_S = 1.0  # between two looks while the job runs
_CALLBACKS_S = 60.0
"""Between two times that files of callbacks travel by themselves: a log that grows is sent whole.
They always go along with a checkpoint, which is kept as often."""


_RUN = "tuning.executors.cluster.travel:run_packed"


class _Stamp(NamedTuple):
    """By what a file is known to be another than before."""

    mtime_ns: int
    size: int
    inode: int


class NodeFiles:
    """The folder in which a job finds its files, in the place of the state folder.

    Args:
        job: Its id.
        folder: Made here.
        luggage: What has come with the job.
    """

    def __init__(self, job: str, folder: Path, luggage: Luggage) -> None:
        self._job = job
        self._folder = folder
        folder.mkdir(parents=True, mode=0o700)
        for path in luggage.folders:
            (folder / path).mkdir(parents=True, exist_ok=True, mode=0o700)
        for sent in luggage.files:
            file = folder / sent.path
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.write_bytes(sent.data)
        self._known = self._stamps()
        self._look_at = time.monotonic() + _LOOK_S
        self._callbacks_at = time.monotonic() + _CALLBACKS_S

    @property
    def root(self) -> str:
        """Where the state folder is for this job."""
        return str(self._folder)

    def look(self) -> Changes | None:
        """Return what has changed, where it is time to look; None where nothing is to be sent."""
        now = time.monotonic()
        if now < self._look_at:
            return None
        changes = self._changes(callbacks_alone=now >= self._callbacks_at)
        # After the look: one that takes long is not followed by the next at once.
        self._look_at = time.monotonic() + _LOOK_S
        if changes is not None:
            self._callbacks_at = now + _CALLBACKS_S
        return changes

    def look_at_end(self) -> Changes | None:
        """Return what has changed, when the job has ended; None where nothing has."""
        return self._changes(callbacks_alone=True)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _changes(self, *, callbacks_alone: bool) -> Changes | None:
        stamps = self._stamps()
        changed = [path for path, stamp in stamps.items() if self._known.get(path) != stamp]
        gone = [path for path in self._known if path not in stamps]
        others = [path for path in (*changed, *gone) if not _is_of_callbacks(path)]
        if not (others or (callbacks_alone and (changed or gone))):
            return None

        files = []
        for path in changed:
            data = self._read(path, stamps[path])
            if data is None:  # it is being written: at the next look
                stamps.pop(path)
                if path in self._known:
                    stamps[path] = self._known[path]
                continue
            files.append(Sent(path, data))
        self._known = stamps
        if not (files or gone):
            return None
        return Changes(self._job, self.root, tuple(files), tuple(gone))

    def _read(self, path: str, stamp: _Stamp) -> bytes | None:
        """Return a file's bytes; None where it has changed since it was looked at."""
        try:
            with open_file(self._folder / path) as file:
                data = file.read()
        except OSError:
            return None
        return data if _stamp(self._folder / path) == stamp else None

    def _stamps(self) -> dict[str, _Stamp]:
        stamps = {}
        for file in self._files(self._folder):
            stamp = _stamp(file)
            if stamp is not None:
                stamps[file.relative_to(self._folder).as_posix()] = stamp
        return stamps

    def _files(self, folder: Path) -> Iterator[Path]:
        try:
            entries = sorted(folder.iterdir())
        except OSError:  # a callback has removed it
            return
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                yield from self._files(entry)
            elif not is_temporary(entry.name):
                yield entry


def _stamp(file: Path) -> _Stamp | None:
    """Return a file's stamp; None where it is none, or is gone."""
    try:
        found = file.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


def _is_of_callbacks(path: str) -> bool:
    return f"/{CALLBACKS}" in path


class NodeJobs:
    """The jobs of one slot, one after another, each with files of its own.

    Args:
        folder: For their files.
        code: The study files: by their name in the archive where they are on this node.
    """

    def __init__(self, folder: Path, code: Mapping[str, str]) -> None:
        self._folder = folder
        self._code = code
        self._constants: dict[str, bytes | Path] = {}
        self._n_begun = 0
        self._files: NodeFiles | None = None

    def hold(self, names: Sequence[str], data: Sequence[bytes]) -> None:
        """Keep large things that never change, for all jobs that name them."""
        folder = self._folder / "constants"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in zip(names, data, strict=True):
            path = folder / name
            path.write_bytes(content)
            self._constants[name] = path

    def begin(self, job: Job, luggage: Luggage) -> Job:
        """Unpack what has come with a job; return the job as a worker here is given it."""
        self._n_begun += 1
        self._files = NodeFiles(job.id, self._folder / f"job-{self._n_begun}", luggage)
        places = Places(
            home=self._files.root,
            code=self._code,
            constants={name: self._constants[name] for name in luggage.constants},
        )
        args = (job.function, job.pickled_args, places)
        pickled = pickle.dumps(args, protocol=pickle.HIGHEST_PROTOCOL)
        return replace(job, function=_RUN, args=(), pickled_args=pickled)

    def look(self) -> Changes | None:
        """Return what the running job has changed; None where there is nothing to send now."""
        return None if self._files is None else self._files.look()

    def end(self) -> Changes | None:
        """Return what the job that has ended has changed, and forget its files."""
        if self._files is None:
            return None
        changes = self._files.look_at_end()
        self._files.close()
        self._files = None
        return changes
