"""What a job takes to a node and brings back: its arguments, and the files that they name.

No disk need be shared. A job names files by `Path` objects under the state folder; what lies there
travels with it into a folder of its own on the node, and what it writes there comes back. In the
pickle of arguments and results these paths, the study and large things that never change go as
names, which each side turns into what it has itself (`Places`).

The driver alone writes into the state folder: durably, before it is told that a job has ended, and
only what comes from the slot that has the job now. A late file of an earlier attempt is never
written, whatever it is called.
"""

from __future__ import annotations

import io
import json
import pickle
import pkgutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeAlias

from tuning.errors import TuningError
from tuning.executors.base import Job
from tuning.executors.unchanging import Unchanging
from tuning.ledger.results import read_result
from tuning.storage.durable import open_file, write_bytes
from tuning.trial import Context

RESULT = "result.json"
"""The file that ends a trial: written last, and never over one that is whole."""

CALLBACKS = "callbacks-"
"""Begins the names of the folders in which a user's callbacks write, while they train."""

_Id: TypeAlias = tuple[str, str]


def _ignore(name: str) -> None:
    """Do nothing with a name."""


class Sent(NamedTuple):
    """A file on its way.

    Attributes:
        path: Relative to the state folder, with `/`.
        data: All of it.
    """

    path: str
    data: bytes


class Luggage(NamedTuple):
    """What travels to a node beside the arguments of a job.

    Attributes:
        files: That lie where the job's paths lead to.
        folders: Named by the job, whether anything is in them or not.
        constants: Names of the large things that it needs, which travel once a node.
    """

    files: tuple[Sent, ...] = ()
    folders: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()


class Changes(NamedTuple):
    """What a job has changed among its files since it was last told.

    Attributes:
        job: Its id.
        root: Where the state folder is on the node: JSON files name it.
        files: New, or other than before.
        gone: That were there, relative to the state folder.
    """

    job: str
    root: str
    files: tuple[Sent, ...] = ()
    gone: tuple[str, ...] = ()


class Carried(NamedTuple):
    """What a job has returned, pickled with names."""

    pickled: bytes


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where one side has what both have; pickles values so that the other side finds its own.

    Attributes:
        home: The state folder; None: no path is changed.
        code: The study files, by their name within the project's files.
        constants: Large things that never change, by name: their bytes, or the files they are in.
        on_path: Called with each `Path` that is named.
        on_constant: Called with the name of each large thing that is named, or is taken as bytes.
    """

    home: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, bytes | Path] = field(default_factory=dict)
    on_path: Callable[[str], Any] = _ignore
    on_constant: Callable[[str], Any] = _ignore

    def dump(self, value: Any) -> bytes:
        """Pickle a value, with names for what the other side has too."""
        file = io.BytesIO()
        _Pickler(file, self).dump(value)
        return file.getvalue()

    def load(self, pickled: bytes) -> Any:
        """Return what the other side's `dump` was given, with what this side has."""
        return _Unpickler(io.BytesIO(pickled), self).load()

    def within_home(self, path: str) -> str | None:
        """Return a path relative to the state folder; None where it does not lie in it."""
        if self.home is None or not path.startswith(self.home):
            return None
        rest = path[len(self.home) :]
        return rest[1:] if rest.startswith("/") else None


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, places: Places) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._places = places
        self._code = {path: name for name, path in places.code.items()}
        self._bytes = {
            id(value): name for name, value in places.constants.items() if isinstance(value, bytes)
        }

    def persistent_id(self, value: Any) -> _Id | None:
        """Return the name of what the other side has too."""
        kind = type(value)
        if kind is str:
            return self._id_of_text(value)
        if kind is bytes:
            name = self._bytes.get(id(value))
            return None if name is None else self._constant("bytes", name)
        if kind is Unchanging:
            return self._constant("file", value.name)
        if isinstance(value, PurePath):
            within = self._places.within_home(str(value))
            if within is not None:
                self._places.on_path(within)
                return "path", within
        return None

    def _id_of_text(self, text: str) -> _Id | None:
        if not text.startswith("/"):
            return None
        name = self._code.get(text)
        if name is not None:
            return "code", name
        within = self._places.within_home(text)
        return None if within is None else ("text", within)

    def _constant(self, kind: str, name: str) -> _Id:
        self._places.on_constant(name)
        return kind, name


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, places: Places) -> None:
        super().__init__(file)
        self._places = places

    def persistent_load(self, name: _Id) -> Any:
        """Return what this side has under a name."""
        kind, text = name
        places = self._places
        if kind == "code":
            return places.code[text]
        if kind == "path":
            return Path(f"{places.home}/{text}")
        if kind == "text":
            return f"{places.home}/{text}"

        constant = places.constants[text]
        if kind == "file":
            assert isinstance(constant, Path)  # noqa: S101 - only files are named so
            return Unchanging(text, constant)
        places.on_constant(text)
        return _bytes_of(constant)


@lru_cache(maxsize=4)
def _content(path: Path) -> bytes:
    """Return a file's bytes: the same object at each call, as caches ask whether it is the same."""
    return path.read_bytes()


# --- the driver's side ---


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A job that is ready to travel.

    Attributes:
        job: Its arguments pickled with names.
        paths: That it names, relative to the state folder.
        constants: Names of the large things that it needs.
    """

    job: Job
    paths: tuple[str, ...]
    constants: tuple[str, ...]


class Sender:
    """Packs jobs, and writes what comes back of them.

    Args:
        home: The state folder; None: jobs name none of its files.
        sources: The studies that jobs are of; one that is pickled travels once a node.
        code: The study files, by their name within the project's files.
    """

    def __init__(
        self,
        home: Path | None,
        sources: Sequence[str | bytes] = (),
        code: Mapping[str, str] | None = None,
    ) -> None:
        self._constants: dict[str, bytes | Path] = {
            sha256(source).hexdigest(): source for source in sources if isinstance(source, bytes)
        }
        self._places = Places(
            home=None if home is None else str(home.absolute()),
            code=code or {},
            constants=self._constants,
        )

    def pack(self, job: Job) -> Parcel:
        """Return a job as it travels.

        An argument that cannot be pickled is an error of whoever submits it.
        """
        paths: dict[str, None] = {}
        names: dict[str, None] = {}
        places = replace(self._places, on_path=paths.setdefault, on_constant=names.setdefault)
        for value in _unchanging(job.args):
            self._constants[value.name] = value.path
        if job.pickled_args is None:
            job = replace(job, args=(), pickled_args=places.dump(job.args))
        return Parcel(job=job, paths=tuple(paths), constants=tuple(names))

    def luggage(self, parcel: Parcel) -> Luggage:
        """Return the files that a job needs, as they are now."""
        if self._places.home is None or not parcel.paths:
            return Luggage(constants=parcel.constants)
        home = Path(self._places.home)
        files = {}
        folders = []
        for path in parcel.paths:
            if (home / path).is_dir():
                folders.append(path)
            for file in _files_at(home / path):
                data = _read_whole(file)
                if data is not None:
                    files[file.relative_to(home).as_posix()] = data
        sent = tuple(Sent(path, data) for path, data in files.items())
        return Luggage(files=sent, folders=tuple(folders), constants=parcel.constants)

    def constant(self, name: str) -> bytes:
        """Return a large thing that never changes."""
        value = self._constants[name]
        return value if isinstance(value, bytes) else value.read_bytes()

    def value_of(self, carried: Carried) -> Any:
        """Return what a job has returned."""
        return self._places.load(carried.pickled)

    def write(self, parcel: Parcel, changes: Changes) -> None:
        """Write what a job has changed, durably; a trial's result last.

        Raises:
            StorageError: The disk is full; nothing is told of the job's end.
            TuningError: A node names a file that is none of the job's.
        """
        if self._places.home is None:
            return
        home = Path(self._places.home)
        for path in (*(sent.path for sent in changes.files), *changes.gone):
            if not _belongs_to(path, parcel.paths, home):
                raise TuningError(f"job {parcel.job.id}: a node sent '{path}', no file of the job")

        ours = _in_json(self._places.home)
        theirs = _in_json(changes.root)
        for path in changes.gone:
            (home / path).unlink(missing_ok=True)
        for sent in sorted(changes.files, key=lambda sent: sent.path.endswith(f"/{RESULT}")):
            target = home / sent.path
            if target.name == RESULT and read_result(target.parent) is not None:
                continue
            data = sent.data
            if target.suffix == ".json":
                data = data.replace(theirs, ours)
            write_bytes(target, data)


def _unchanging(value: Any) -> Iterator[Unchanging]:
    """Yield what a job's arguments hold of these, at most two lists deep."""
    for each in value:
        if isinstance(each, Unchanging):
            yield each
        elif isinstance(each, tuple | list):
            yield from (inner for inner in each if isinstance(inner, Unchanging))


def _files_at(path: Path) -> Iterator[Path]:
    """Yield what travels for a path that a job names.

    All that lies in a folder; of a file those that belong together: `0.json` and `0.npz`.
    """
    if path.is_dir():
        candidates: Iterable[Path] = path.rglob("*")
    else:
        candidates = path.parent.glob(f"{path.stem}.*")
    for each in candidates:
        if not is_temporary(each.name) and stat.S_ISREG(_mode_of(each)):
            yield each


def _mode_of(path: Path) -> int:
    """Return the mode of a file, a link's own; 0 where it is gone."""
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def is_temporary(name: str) -> bool:
    """Whether a file is one that is still being written, as `storage.durable` names it."""
    return name.startswith(".") and name.endswith(".tmp")


def _read_whole(path: Path) -> bytes | None:
    """Return a file's bytes; None where it has gone meanwhile."""
    try:
        with open_file(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def _belongs_to(path: str, named: Sequence[str], home: Path) -> bool:
    """Whether a job may write a file.

    It may in a folder that it names; of a file that it names those of the same stem too, and in the
    folders of its callbacks beside it.
    """
    asked = PurePath(path)
    if ".." in asked.parts or asked.is_absolute():
        return False
    # Through a link it could lead anywhere.
    if not (home / path).parent.resolve().is_relative_to(home.resolve()):
        return False
    for each in named:
        place = PurePath(each)
        if asked.is_relative_to(place):
            return True
        if not place.suffix or not asked.is_relative_to(place.parent):
            continue
        beside, *within = asked.relative_to(place.parent).parts
        if within:
            if beside.startswith(CALLBACKS):
                return True
        elif beside.startswith(f"{place.stem}."):
            return True
    return False


def _in_json(path: str) -> bytes:
    """Return a folder as it stands in front of a path in a JSON file."""
    return json.dumps(path, ensure_ascii=False)[1:-1].encode() + b"/"


# --- the worker's side ---


def run_packed(function: str, packed: bytes, places: Places, context: Context) -> Carried:
    """Do a job that has travelled; the function of its `Job` on the node.

    Args:
        function: The job's own, `"package.module:name"`.
        packed: Its arguments.
        places: Of the node.
        context: Of the worker.
    """
    names: dict[str, None] = {}
    args = replace(places, on_constant=names.setdefault).load(packed)
    value = pkgutil.resolve_name(function)(*args, context)
    # What came as bytes may go back: the searches of a benchmark name their study.
    known = {name: _bytes_of(places.constants[name]) for name in names}
    return Carried(replace(places, constants=known).dump(value))


def _bytes_of(constant: bytes | Path) -> bytes:
    return constant if isinstance(constant, bytes) else _content(constant)
