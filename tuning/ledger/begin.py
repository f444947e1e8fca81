"""Where a search lies, and how one is begun there.

Its folder's name is its key: the engine and what the command line changed of the study
(`optuna-tpe+epochs=5`), so that the same command finds its search again and another command never
mixes with it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuning.errors import DamagedFileError
from tuning.ledger.damage import OnDamage, leave_out
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.ledger.versions import check_definition
from tuning.storage.aside import set_aside
from tuning.storage.leftovers import sweep
from tuning.trial import Params

LONGEST_KEY = 120
"""Characters of a folder's name: with all that may follow it stays below what file systems take."""


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
    known = _known_header(files, fresh=fresh)
    has_trials = any(folder.glob("trials/*/spec.json"))
    if fresh and (known is not None or has_trials):
        word = secrets.token_hex(4) if known is None else known.id.rsplit("-", 1)[-1]
        folder.rename(folder.with_name(f"{folder.name}~{word}"))
        known = None
        has_trials = False

    if known is None:
        _write_new_header(files, header, recovered=has_trials)
    else:
        check_definition(known, header.definition, allow_change=allow_change)
        # Only now: a search that is refused is left as it is.
        sweep(folder)
    return files


def _known_header(files: SearchFiles, *, fresh: bool) -> SearchHeader | None:
    """Return the header that is there; None where there is none, or it is damaged."""
    try:
        return files.header
    except DamagedFileError as error:
        if not fresh:  # else it is kept as it is, with all the rest
            files.on_damage(error)
        return None


def _write_new_header(files: SearchFiles, header: SearchHeader, *, recovered: bool) -> None:
    """Give a search its id and its first `search.json`.

    Args:
        files: Of the search.
        header: What it is a search of.
        recovered: Trials lie there whose header was lost.
    """
    files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A damaged one that nobody has set aside; it is never written over.
    if os.path.lexists(files.folder / "search.json"):
        set_aside(files.folder / "search.json")
    files.write_header(
        replace(
            header,
            id=f"{header.study}-{header.engine.replace(':', '-')}-{secrets.token_hex(4)}",
            created_at=time.time(),
            recovered=recovered,
        )
    )
