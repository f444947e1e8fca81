"""`settle_in`: a node made ready: versions compared, study files found, folders set."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import tuning
from tuning.errors import MissingError
from tuning.executors.cluster.runtime import PROJECT, Runtime
from tuning.executors.cluster.versions import Versions, version_faults, versions_here


@dataclass(frozen=True, kw_only=True)
class RuntimePlan:
    """What a node is told of it.

    Attributes:
        sources: The study files: by their path on the driver's machine the name in the archive.
        digests: Of the project's files, by their path there.
        folder: The project's there.
        import_path: Where modules are looked for, as names in the archive.
    """

    sources: Mapping[str, str]
    digests: Mapping[str, str]
    folder: str
    import_path: tuple[str, ...] = ()

    @classmethod
    def of(cls, runtime: Runtime) -> RuntimePlan:
        """Return what nodes are told of a runtime environment."""
        return cls(
            sources=runtime.sources,
            digests={
                str(content): sha256(content.read_bytes()).hexdigest()
                for name, content in runtime.files.items()
                if isinstance(content, Path) and not name.startswith("tuning")
            },
            folder=str(runtime.folder),
            import_path=runtime.import_path,
        )

    @property
    def is_here(self) -> bool:
        """Whether this machine has the very project, at the same place: a shared disk."""
        if not Path(self.folder).is_dir():
            return False
        try:
            return all(
                sha256(Path(path).read_bytes()).hexdigest() == digest
                for path, digest in self.digests.items()
            )
        except OSError:
            return False


@dataclass(frozen=True, kw_only=True)
class Settling:
    """What a node is told for it; as it is here, there is nothing to do: the node is this machine.

    Attributes:
        plan: Of the runtime environment; None: the project is at its place.
        versions: That the driver has; None: they are not compared.
        home: The driver's state folder: where data are kept that a study fetches.
        folder: In which the driver was started; "": left as it is.
    """

    plan: RuntimePlan | None = None
    versions: Versions | None = None
    home: str = ""
    folder: str = ""


def settle_in(settling: Settling, node: str) -> Mapping[str, str]:
    """Make this process ready for a study, and so what it starts from now on.

    Args:
        settling: How.
        node: Its address, for messages.

    Returns:
        Where the study files are, by their name in the archive.

    Raises:
        MissingError: The node has other versions than the driver; says which, and what would help.
    """
    if settling.versions is not None:
        faults = version_faults(node, versions_here(), settling.versions)
        if faults:
            raise MissingError("; ".join(faults))

    plan = settling.plan
    if plan is None:
        _go_to(settling.folder, settling.home)
        return {}

    # Ray has unpacked the archive, and put it in front of all other modules.
    root = Path(tuning.__file__).resolve().parents[1]
    sys.path += [str(root / name) for name in plan.import_path]
    if plan.is_here:
        _go_to(plan.folder, settling.home)
    else:
        project = root / PROJECT
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        _go_to(str(project if project.is_dir() else root), str(Path(cache) / "tuning"))
    return {name: str(root / name) for name in plan.sources.values()}


def _go_to(folder: str, home: str) -> None:
    """Work in a folder; data are kept in a state folder, unless the node names one itself."""
    if folder and os.path.isdir(folder):
        os.chdir(folder)
    if home:
        os.environ.setdefault("TUNING_HOME", home)
