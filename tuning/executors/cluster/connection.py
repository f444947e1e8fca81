"""How the link comes to a Ray: one that runs, or one of its own."""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from tuning.errors import BusyError, MissingError, StudyError, TuningError
from tuning.executors.cluster.words import Connected
from tuning.storage.durable import open_file
from tuning.storage.scratch import scratch_folder

_OBJECT_STORE = 100 << 20
"""Bytes; nothing that we send is large enough to be put there."""
_REFUSALS = (b"InvalidAuthToken", b"Invalid or missing authentication token")
"""By which a wrong token is known: of a node's head, of the server for clients outside."""
_NOT_STARTED = "Starting Ray client server failed"
"""Said by the head of a cluster where the process that it forks for a client has died of gRPC."""
_TRIES = 3
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would be told to Ray's makers
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's own warning asks for it
}
_OWN = {
    # Memory is watched by our own guard, which ends the trial that takes the most; Ray would end
    # the slot.
    "RAY_memory_monitor_refresh_ms": "0",
    # Ray's workers, and ours in them, would give way to everything else on the box (nice 15).
    "RAY_worker_niceness": "0",
}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Which Ray to connect to, and what one of our own is given.

    Attributes:
        text: `auto`, `HOST:PORT` or `ray://HOST:PORT`; None: a Ray of our own.
        cpus, gpus: That our own has.
    """

    text: str | None = None
    cpus: int = 1
    gpus: int = 0


def connect(
    address: Address,
    stack: ExitStack,
    *,
    log: Path,
    refuse: Callable[[TuningError], None],
) -> tuple[ModuleType, Connected]:
    """Connect this process to a Ray; `stack` disconnects it, and ends one of our own.

    Args:
        address: Of the Ray.
        stack: See above.
        log: Where Ray prints, in this process.
        refuse: Called in a thread where the cluster refuses our token; ends the process. Ray itself
            would go on asking for 20 s, and then say that nothing answers.

    Returns:
        Ray, and what to tell of the connection.

    Raises:
        MissingError: Ray is not installed.
        StudyError: The cluster wants another token, or a token at all.
        BusyError: No Ray answers there.
    """
    began = time.monotonic()
    log = log.absolute()
    where = f"--ray-address {address.text}"
    _require_somebody(address.text, where)
    os.environ.update(_QUIET)
    # Read when Ray is imported. Who runs a cluster without tokens says so: RAY_AUTH_MODE=disabled.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    options: dict[str, Any] = {"address": address.text}
    if address.text is None:
        options = dict(_own(address, stack))
    ray = _imported()
    _go_away(stack)

    connected = threading.Event()
    stack.callback(connected.set)
    refusal = StudyError(
        _about_the_token("the cluster refuses the token that is there"), where=where
    )
    watch = partial(_watch_for_refusal, log, connected, lambda: refuse(refusal))
    threading.Thread(target=watch, name="refusal", daemon=True).start()
    _have_clients_errors_printed()
    try:
        _init(ray, options)
    except ray.exceptions.AuthenticationError as error:
        text = _about_the_token("the cluster wants a token, and none is there")
        raise StudyError(text, where=where) from error
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        if "Version mismatch" in str(error):  # it says which, in several lines
            raise StudyError(" ".join(str(error).split()), where=where) from error
        if address.text is None:
            raise BusyError(f"a Ray of our own did not start: {_in_short(error)}") from error
        raise _nobody_answers(where, _in_short(error)) from error
    connected.set()
    stack.callback(ray.shutdown)
    n_nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    seconds = time.monotonic() - began
    return ray, Connected(seconds, started=address.text is None, nodes=n_nodes)


def _imported() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise MissingError(
            f"--executor ray needs Ray ({error}): python -m pip install 'tuning[ray]'"
        ) from error
    return ray


def _init(ray: ModuleType, options: Mapping[str, Any]) -> None:
    """Connect; again where a cluster's server for clients has not started its part for us."""
    for n_tries in range(1, _TRIES + 1):
        try:
            ray.init(log_to_driver=False, configure_logging=False, namespace="tuning", **options)
        except (ConnectionError, RuntimeError) as error:
            if _NOT_STARTED not in str(error) or n_tries == _TRIES:
                raise
            with suppress(Exception):  # nothing is connected
                ray.shutdown()
        else:
            return


def _have_clients_errors_printed() -> None:
    """Let Ray's client print why it asks again: it would for minutes, with a wrong token too."""
    logger = logging.getLogger("ray.util.client.worker")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(logging.StreamHandler())


def _go_away(stack: ExitStack) -> None:
    """Work in an empty folder: Ray has nodes look for modules in the current one, before others."""
    token = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if token:
        os.environ["RAY_AUTH_TOKEN_PATH"] = os.path.abspath(token)
    os.chdir(stack.enter_context(scratch_folder("tuning-link-")))


def _own(address: Address, stack: ExitStack) -> Mapping[str, Any]:
    """Return the options of a Ray that nobody else may use: its folder and token are its own."""
    folder = Path(stack.enter_context(scratch_folder("tuning-ray-")))
    token = folder / "token"
    descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_hex(32))
    os.environ.update(_OWN)
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    os.environ.pop("RAY_AUTH_TOKEN", None)
    os.environ.pop("RAY_ADDRESS", None)  # of a Ray that was not asked for
    return {
        "address": "local",
        "num_cpus": address.cpus,
        "num_gpus": address.gpus,
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE,
        "_temp_dir": str(folder),
    }


def _require_somebody(text: str | None, where: str) -> None:
    """Raise where nobody listens: Ray itself would ask for more than a minute.

    Raises:
        BusyError: So it is.
        StudyError: The address is none.
    """
    if text is None or text == "auto":
        return
    match = re.fullmatch(r"(?:ray://)?(.+):(\d{1,5})", text)
    if match is None:
        raise StudyError("say auto, HOST:PORT or ray://HOST:PORT", where=where)
    try:
        socket.create_connection((match[1].strip("[]"), int(match[2])), timeout=10.0).close()
    except (OSError, OverflowError) as error:
        raise _nobody_answers(where, str(error)) from error


def _nobody_answers(where: str, reason: str) -> BusyError:
    return BusyError(
        f"{where}: no Ray answers there ({reason}). HOST:PORT is for a program that runs on a node "
        "of the cluster; from elsewhere say ray://HOST:10001. Check with: ray status"
    )


def _in_short(error: BaseException) -> str:
    """Return the first and the last line: between them may be a traceback of Ray's server."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " … ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))[:300]


def _watch_for_refusal(log: Path, connected: threading.Event, refuse: Callable[[], None]) -> None:
    """Look into what Ray prints while it connects; runs in a thread."""
    begin = log.stat().st_size
    while not connected.wait(0.2):
        with open_file(log) as file:
            file.seek(begin)
            printed = file.read()
        if any(refusal in printed for refusal in _REFUSALS):
            refuse()
            return


def _about_the_token(what: str) -> str:
    return (
        f"{what}. Put the cluster's into ~/.ray/auth_token (mode 0600), or name its file in "
        "RAY_AUTH_TOKEN_PATH; for a cluster without tokens set RAY_AUTH_MODE=disabled"
    )
