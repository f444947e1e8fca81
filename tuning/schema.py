"""JSON files of ours: what they hold, and the number that says in which shape.

Release 0.1 wrote no number: such files count as shape 1, and are read. A file of a later shape is
refused in words and left as it is, for reading half of it would lose the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import (
    Any,
    Literal,
    NamedTuple,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from tuning.errors import DamagedFileError, NewerFileError, StudyError, first_line

Json: TypeAlias = Mapping[str, Any]
"""An object of a JSON file, as it is read."""
JsonObject: TypeAlias = dict[str, Any]
"""An object of a JSON file, as it is made."""

SCHEMA = 2
"""The shape that this release writes."""

_NOT_FINITE = ("nan", "inf", "-inf")
_NUMBERS = frozenset({float, int})
_NAMES = frozenset({str})

WRONG_SHAPE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    StopIteration,
    StudyError,
    TypeError,
    ValueError,
)
"""What our readers raise for JSON that is not what we write."""


def check_schema(stored: Json, file: Path | str) -> None:
    """Refuse what a later release wrote.

    Args:
        stored: What the file holds.
        file: Its path, or its name where the path is not known.

    Raises:
        NewerFileError: Its `schema` is above ours.
        TypeError: It is no number.
    """
    schema = stored.get("schema", 1)
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise TypeError(f"'schema' is {schema!r:.60}, no int")
    if schema > SCHEMA:
        raise NewerFileError(
            f"it was written by a newer release (schema {schema}, this one reads up to {SCHEMA}); "
            "update tuning to read it. Nothing was changed.",
            where=str(file),
        )


def number(stored: Any) -> float:
    """Return a figure read from JSON, where what is not finite is a text.

    Raises:
        TypeError: It is something else.
    """
    if type(stored) is float:
        return stored
    if isinstance(stored, bool) or not isinstance(stored, int | float | str):
        raise TypeError(f"{stored!r:.60} is no number")
    if isinstance(stored, str) and stored not in _NOT_FINITE:
        raise TypeError(f"{stored!r:.60} is no number")
    return float(stored)


@contextmanager
def refuse_damaged(path: Path) -> Iterator[None]:
    """Say in words that a file is whole JSON, but not what we write: somebody has changed it.

    Raises:
        DamagedFileError: For what the block raises when it reads such a file.
    """
    try:
        yield
    except NewerFileError:  # whole, and not for us
        raise
    except KeyError as error:
        raise DamagedFileError(path, f"it lacks {error}") from error
    except WRONG_SHAPE as error:
        raise DamagedFileError(path, first_line(error) or repr(error)) from error


def check_types(record: Any) -> None:
    """Check that the fields of a dataclass hold what their annotations say, however deep.

    A whole number will do where a float is meant, a list where a sequence is; a truth value is no
    number.

    Raises:
        TypeError: One does not; names the first of them and what it holds.
    """
    for name, is_right, words in _rules(type(record)):
        value = getattr(record, name)
        if not is_right(value):
            raise TypeError(f"'{name}' is {value!r:.60}, no {words}")


class _Rule(NamedTuple):
    """What the field `name` must hold."""

    name: str
    is_right: Callable[[Any], bool]
    words: str


_KNOWN_RULES: dict[type, tuple[_Rule, ...]] = {}


def _rules(kind: type) -> tuple[_Rule, ...]:
    """Return the rules of a dataclass, found once."""
    if kind not in _KNOWN_RULES:
        _KNOWN_RULES[kind] = _rules_of(kind)
    return _KNOWN_RULES[kind]


def _rules_of(kind: type) -> tuple[_Rule, ...]:
    hints = get_type_hints(kind)
    return tuple(
        _Rule(field.name, _test_of(hints[field.name]), _in_words(hints[field.name]))
        for field in fields(kind)
        if hints[field.name] is not Any
    )


def _in_words(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)
    return name.replace("typing.", "").replace("collections.abc.", "")


def _test_of(hint: Any) -> Callable[[Any], bool]:
    """Return what says whether a value is of a type."""
    if hint is Any:
        return lambda value: True
    if hint is float:
        return _is_number
    if hint is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value: isinstance(value, hint) and _is_right(value)

    origin = get_origin(hint)
    if origin is None:
        return lambda value: value is None if hint is None else isinstance(value, hint)
    return _test_of_several(origin, get_args(hint))


def _test_of_several(origin: Any, arguments: tuple[Any, ...]) -> Callable[[Any], bool]:
    """Return the test of a type that is made of others."""
    if origin is Literal:
        return lambda value: value in arguments
    tests = [_test_of(each) for each in arguments if each is not Ellipsis]
    if origin in (Union, UnionType):
        return lambda value: any(test(value) for test in tests)
    if not issubclass(origin, Mapping | Sequence):
        return lambda value: isinstance(value, origin)
    if issubclass(origin, Mapping):
        key, item = tests
        if arguments == (str, float):
            return _are_figures
        return lambda value: (
            isinstance(value, Mapping) and all(map(key, value)) and all(map(item, value.values()))
        )
    if origin is tuple and Ellipsis not in arguments:
        return lambda value: (
            isinstance(value, tuple | list)
            and len(value) == len(tests)
            and all(test(each) for test, each in zip(tests, value, strict=True))
        )
    return lambda value: isinstance(value, tuple | list) and all(map(tests[0], value))


def _are_figures(value: Any) -> bool:
    """Whether a value is a mapping of names to numbers; curves hold hundreds of them."""
    if not isinstance(value, Mapping):
        return False
    return _NUMBERS.issuperset(map(type, value.values())) and _NAMES.issuperset(map(type, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _is_right(record: Any) -> bool:
    return all(rule.is_right(getattr(record, rule.name)) for rule in _rules(type(record)))
