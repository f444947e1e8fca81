"""Secrets: `Secret` holds one, `without_secrets` takes them out of texts that are written or shown.

A text is cleaned on its way into a file, a store or a page. What counts as secret: user names and
passwords of URLs, the value of every `Secret`, and of every variable whose name looks like one.
"""

from __future__ import annotations

import functools
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

MASK = "***"

# Each takes time in proportion to the text, whatever that is: users' programs print it. So a word
# is taken whole (`++` gives nothing back), and what is in it is looked for once.
_WORD = re.compile(r"\S++")
_USER = re.compile(r"://[^\s/?#:@]*+:")
_FIELD = re.compile(  # n_tokens and tokenizer are no secrets
    r"(?i)(?<![\w-])(?!(?:n|num|max|min)_tokens?\b|tokeniz)"
    r"(?=[\w-]*?(?:password|passwd|secret|token|api[_-]?key))"
    r"([\w-]++[\"']?\s*+[=:]\s*+)"
    r"(?:\"[^\"]+\"|'[^']+'|[^\s&;,\"']+)"
)
# The last word counts: `api_key` and `HF_TOKEN`, not `key_dim`, `n_tokens` or `monkey`.
_WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_KEYS = ("key", "apikey", "token", "secret", "credential", "credentials")
_PASSWORDS = ("password", "passwd", "passphrase")
_SHORTEST = 6
"""A shorter value is no secret worth the name, and would be found in any text."""

_known: set[str] = set()


class Secret:
    """A value that a builder is given and that nobody reads: `fixed={"api_key": Secret(key)}`.

    The builder gets the value itself. Files, pages and error messages show `***`; a study's
    definition holds that it is secret, not what it is: with another key it is the same search.

    Args:
        value: The text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"Secret takes a text, not {type(value).__name__}")
        self._value = value
        remember_secret(value)

    def reveal(self) -> str:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        # Pickles of ours go through pipes alone, from driver to worker.
        return Secret, (self._value,)


def revealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with the value in place of each `Secret`, for the function they go to."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in values.items()
    }


def shown_definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's definition as it is written, compared and shown: its `fixed` without keys.

    Texts alone are taken out: `key_dim=64` and `key=64` are numbers of a network.
    """
    fixed = definition.get("fixed")
    if not isinstance(fixed, Mapping):
        return dict(definition)
    shown = {
        name: MASK if looks_secret(name) and _holds_text(value) else without_secrets(value)
        for name, value in fixed.items()
    }
    return {**definition, "fixed": shown}


def _holds_text(representation: str) -> bool:
    return "'" in representation or '"' in representation


def cleaned(stored: Any) -> Any:
    """Return a record's JSON with clean texts where they tell of an error in free words."""
    if isinstance(stored, Mapping):
        return {
            name: _clean_words(value) if name in _IN_WORDS else cleaned(value)
            for name, value in stored.items()
        }
    if isinstance(stored, list | tuple):
        return [cleaned(value) for value in stored]
    return stored


_IN_WORDS = frozenset(("error", "detail", "notices", "reason", "file_fault", "traceback"))


def _clean_words(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    return [_clean_words(item) for item in value] if isinstance(value, list | tuple) else value


def looks_secret(name: str) -> bool:
    """Whether a name is that of a key, a token or a password."""
    return _WORDS.split(name)[-1].lower() in (*_KEYS, *_PASSWORDS)


def remember_arguments(values: Mapping[str, Any]) -> None:
    """Have `without_secrets` replace the texts of arguments whose names look secret."""
    for name, value in values.items():
        if isinstance(value, str) and looks_secret(name):
            remember_secret(value)


def remember_secret(value: str) -> None:
    """Have `without_secrets` replace a value from now on, in this process."""
    if len(value) >= _SHORTEST:
        _known.add(value)


@functools.cache
def _remember_environment() -> None:
    """Remember what variables hold: those whose name looks secret, and passwords within URLs."""
    for name, value in os.environ.items():
        if looks_secret(name):
            remember_secret(value)
        for password in _passwords(value):
            remember_secret(password)


def _passwords(text: str) -> Iterator[str]:
    """Yield the passwords within a text's URLs: `://user:…@`."""
    for word in _WORD.findall(text):
        user = _USER.search(word)
        end = word.rfind("@")
        if user is not None and user.end() < end:
            yield word[user.end() : end]


def _without_logins(text: str) -> str:
    """Return a text with `***` for what stands between `://` and `@`."""
    if "://" not in text or "@" not in text:  # most texts
        return text
    return _WORD.sub(_without_login, text)


def _without_login(word: re.Match[str]) -> str:
    text = word[0]
    begin = text.find("://") + len("://")
    # The last @: database drivers accept passwords with / and @ in them.
    end = text.rfind("@")
    if "://" not in text or end <= begin:
        return text
    return f"{text[:begin]}{MASK}{text[end:]}"


def without_secrets(text: str) -> str:
    """Return `text` with `***` for user names and passwords of URLs, and for known secrets.

    Also for what is called password, token, secret or API key: `token=…`, `"api_key": "…"`.
    """
    _remember_environment()
    # The longest first: one may be the beginning of another.
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _FIELD.sub(rf"\1{MASK}", _without_logins(text))


class CleanText(io.TextIOWrapper):
    """A stream of text that lets no secret through, for what libraries and users print."""

    def write(self, text: str) -> int:
        """Write `text` without secrets."""
        super().write(without_secrets(text))
        return len(text)


def print_without_secrets() -> None:
    """Have `sys.stdout` and `sys.stderr` of this process write clean text to where they do.

    What is written to the descriptors themselves, by C++, passes as it is.
    """
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = open(descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115 - as sys.stdout
        stream = CleanText(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)
        setattr(sys, name, stream)
