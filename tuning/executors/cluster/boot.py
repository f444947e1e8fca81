"""`SlotActor`: the class that Ray makes an actor of; it brings our code to the node, then serves.

Ray gets this class by value, not by name, so that a node needs no `tuning` of its own: nothing
here imports any of it before the archive is unpacked. Ray itself would unpack an archive once more
for each node that comes, in the place where the slots of another node of that machine run.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import pickle
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

PREFIX = "tuning-node-"
"""Of the folders of nodes. What nobody holds any more is found by it, and removed (`sweep`)."""


class SlotActor:
    """One slot on a node of the cluster.

    Args:
        settings: A pickled `SlotSettings`.
        archive: Our code and the project's; None: it is on this machine.
        path: Where modules are looked for last.
    """

    def __init__(self, settings: bytes, archive: bytes | None, path: Sequence[str]) -> None:
        folder, self._held = _folder_of_node()
        if archive is not None:
            sys.path.insert(0, _unpacked(archive, folder))
        sys.path += [each for each in path if each not in sys.path and os.path.exists(each)]

        from tuning.executors.cluster.actor import SlotServer

        # From our own link, over Ray's connection, which asks for a token.
        self._server: Any = SlotServer(pickle.loads(settings), folder)  # noqa: S301

    def say(self, number: int, message: bytes, *constants: bytes) -> None:
        """Take a message, as `SlotServer`."""
        self._server.say(number, message, *constants)

    def poll(self, timeout_s: float) -> bytes:
        """Return what has happened, as `SlotServer`."""
        news: bytes = self._server.poll(timeout_s)
        return news

    def close(self) -> None:
        """End the worker and give the device back, as `SlotServer`."""
        self._server.close()


def _folder_of_node() -> tuple[str, int]:
    """Return the folder that the slots of this job share on this node, and a lock on it.

    Nodes of one machine have one each. While the lock is held nobody removes the folder.
    """
    import ray

    context = ray.get_runtime_context()
    who = f"{context.get_node_id()} {context.get_job_id()}"
    name = PREFIX + hashlib.sha256(who.encode()).hexdigest()[:16]
    path = os.path.join(tempfile.gettempdir(), name)
    while True:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        try:
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # it was removed at this moment
            continue
        if os.fstat(held).st_uid != os.getuid():
            raise PermissionError(f"{path} is another user's")
        fcntl.flock(held, fcntl.LOCK_SH)
        if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(held)):
            return path, held
        os.close(held)


def _unpacked(archive: bytes, folder: str) -> str:
    """Return where the archive is unpacked on this node; the first slot does it."""
    code = os.path.join(folder, "code")
    if os.path.isdir(code):
        return code
    temporary = tempfile.mkdtemp(dir=folder)
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        file.extractall(temporary)
    try:
        os.rename(temporary, code)
    except OSError:  # another slot was quicker
        shutil.rmtree(temporary, ignore_errors=True)
    return code
