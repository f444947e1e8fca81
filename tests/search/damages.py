"""Kinds of damage to one JSON file, as disks, crashes, copies and people make them."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Damage: TypeAlias = Callable[[Path, random.Random], None]


def _bytes(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    def damage(path: Path, chance: random.Random) -> None:
        path.write_bytes(change(path.read_bytes(), chance))

    return damage


def _json(change: Callable[[dict[str, Any], random.Random], Any]) -> Damage:
    """Damage that leaves JSON, of another shape."""

    def damage(path: Path, chance: random.Random) -> None:
        stored = json.loads(path.read_bytes())
        stored = stored if isinstance(stored, dict) else {"first": stored}
        path.write_text(json.dumps(change(stored, chance)))

    return damage


def _a_key(stored: dict[str, Any], chance: random.Random) -> str:
    # Without `schema`, which has damages of its own.
    return chance.choice(sorted(stored.keys() - {"schema"}))


def _without_a_key(stored: dict[str, Any], chance: random.Random) -> Any:
    del stored[_a_key(stored, chance)]
    return stored


def _with(value: Any) -> Damage:
    return _json(lambda stored, chance: {**stored, _a_key(stored, chance): value})


def _schema(value: Any) -> Damage:
    return _json(lambda stored, chance: {**stored, "schema": value})


def _instead(make: Callable[[Path], None]) -> Damage:
    """Something that is no file, in the place of one."""

    def damage(path: Path, chance: random.Random) -> None:
        path.unlink()
        make(path)

    return damage


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("{}")


def _of_another_search(path: Path, chance: random.Random) -> None:
    """The file of the same name in a search of the same study with other results."""
    root = next(folder for folder in path.parents if folder.name == "search")
    shutil.copy(root.with_name("other") / path.relative_to(root), path)


def _of_another_trial(path: Path, chance: random.Random) -> None:
    others = [
        other
        for other in path.parent.parent.glob(f"*/{path.name}")
        if other != path and other.is_file()
    ]
    shutil.copy(chance.choice(sorted(others)), path) if others else path.unlink()


def _in_text(old: str, new: str) -> Damage:
    return _bytes(lambda data, chance: data.replace(old.encode(), new.encode(), 1))


def _number_as(text: str) -> Damage:
    """One of the file's numbers, written as none of JSON's."""

    def damage(path: Path, chance: random.Random) -> None:
        stored = json.loads(path.read_bytes())
        stored = stored if isinstance(stored, dict) else {"first": stored}
        stored[_a_key(stored, chance)] = "@"
        path.write_text(json.dumps(stored).replace('"@"', text))

    return damage


DAMAGES: dict[str, Damage] = {
    "missing": lambda path, chance: path.unlink(),
    "empty": _bytes(lambda data, chance: b""),
    "one byte": _bytes(lambda data, chance: data[:1]),
    "half": _bytes(lambda data, chance: data[: len(data) // 2]),
    "without its last byte": _bytes(lambda data, chance: data[:-1]),
    "cut anywhere": _bytes(lambda data, chance: data[: chance.randrange(1, len(data))]),
    "zeros": _bytes(lambda data, chance: bytes(len(data))),
    "zeros behind": _bytes(lambda data, chance: data + bytes(64)),
    "zeros in the middle": _bytes(
        lambda data, chance: data[: len(data) // 3] + bytes(9) + data[len(data) // 3 + 9 :]
    ),
    "random bytes": _bytes(lambda data, chance: chance.randbytes(len(data))),
    "null": _bytes(lambda data, chance: b"null"),
    "a list": _bytes(lambda data, chance: b"[]"),
    "a list of it": _bytes(lambda data, chance: b"[" + data + b"]"),
    "an empty object": _bytes(lambda data, chance: b"{}"),
    "a text": _bytes(lambda data, chance: b'"x"'),
    "a number": _bytes(lambda data, chance: b"17"),
    "true": _bytes(lambda data, chance: b"true"),
    "NaN alone": _bytes(lambda data, chance: b"NaN"),
    "two documents": _bytes(lambda data, chance: data + data),
    "a key is missing": _json(_without_a_key),
    "a key is null": _with(None),
    "a key is a text": _with("splendid"),
    "a key is a list": _with([[["x"]]]),
    "a key is an object": _with({"x": {"y": None}}),
    "a key is true": _with(True),
    "a key is half": _with(0.123456789),
    "a key is NaN": _number_as("NaN"),
    "a key is -Infinity": _number_as("-Infinity"),
    "a key is beyond floats": _number_as("1e999"),
    "a key is a huge number": _number_as("9" * 400),
    "a key is too huge to read": _number_as("9" * 5000),
    "a key stands twice": _in_text("{", '{"number": 3, "number": 4,'),
    "deep lists": _bytes(lambda data, chance: b"[" * 100_000),
    "deep objects": _bytes(lambda data, chance: b'{"a":' * 100_000),
    "a key is deep": _number_as("[" * 500 + "]" * 500),
    "a mark of UTF-8": _bytes(lambda data, chance: b"\xef\xbb\xbf" + data),
    "UTF-16": _bytes(lambda data, chance: data.decode().encode("utf-16")),
    "Latin 1": _bytes(lambda data, chance: data[:-1] + '"é": 1}'.encode("latin-1")),
    "lines of Windows": _in_text("\n", "\r\n"),
    "a newer release": _schema(99),
    "a schema in words": _schema("two"),
    "a schema of null": _schema(None),
    "further keys": _json(lambda stored, chance: {**stored, "more": "than we know"}),
    "a folder": _instead(_folder),
    "a link to nothing": _instead(lambda path: path.symlink_to(path.parent / "nowhere")),
    "a link to itself": _instead(lambda path: path.symlink_to(path)),
    "a pipe": _instead(os.mkfifo),
    "a device": _instead(lambda path: path.symlink_to("/dev/zero")),
    "another trial's": _of_another_trial,
    "another search's": _of_another_search,
}
"""By name. None makes of a value another one that is right: nobody could tell."""

NEEDS_JSON = frozenset(
    name
    for name in DAMAGES
    if name.startswith(("a key ", "a schema "))
    or name in ("a newer release", "further keys", "UTF-16")
) - {"a key stands twice"}
"""Those that are made of a file's JSON, or of its text."""
