"""What is secret, and what is written of it."""

from __future__ import annotations

import io
import pickle
import time

import pytest

from tuning.storage import secrets
from tuning.storage.secrets import (
    CleanText,
    Secret,
    cleaned,
    looks_secret,
    revealed,
    shown_definition,
    without_secrets,
)

CANARY = "canary-4f1c9"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    secrets._remember_environment.cache_clear()
    yield
    secrets._remember_environment.cache_clear()


def test_a_secret_shows_itself_to_nobody_but_the_function_it_is_for():
    secret = Secret(CANARY)
    texts = [repr(secret), str(secret), f"{secret}", f"{secret!r:>30}", repr({"a": [secret]})]
    assert not any(CANARY in text for text in texts)
    assert revealed({"api_key": secret, "units": 3}) == {"api_key": CANARY, "units": 3}


def test_a_secret_of_another_type_is_refused_without_its_value():
    with pytest.raises(TypeError, match="takes a text, not int"):
        Secret(1234567)


def test_a_process_that_gets_a_secret_knows_it_from_then_on():
    data = pickle.dumps(Secret(CANARY))
    secrets._known.clear()
    assert CANARY in without_secrets(CANARY)
    assert pickle.loads(data).reveal() == CANARY  # noqa: S301
    assert without_secrets(f"wrong key <{CANARY}>") == "wrong key <***>"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://me:p@ss/w:rd@db:5432/x", "postgresql://***@db:5432/x"),
        ("see https://example.org/a?b=1", "see https://example.org/a?b=1"),
        ("GET /runs?token=abc&n=1", "GET /runs?token=***&n=1"),
        ("{'api_key': 'a b', 'units': 3}", "{'api_key': ***, 'units': 3}"),
        ('login(password="a;b")', "login(password=***)"),
        ("n_tokens=512 key_dim=64 KeyError: 'lr'", "n_tokens=512 key_dim=64 KeyError: 'lr'"),
    ],
)
def test_what_stands_in_a_text_is_masked_and_nothing_else(text, clean):
    assert without_secrets(text) == clean


def test_variables_that_look_secret_and_passwords_in_urls_are_known(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", CANARY)
    monkeypatch.setenv("SOME_STORE", "mysql://me:pass-of-mine@db/x")
    monkeypatch.setenv("OF_NOBODY", "plain text")
    text = without_secrets(f"{CANARY} pass-of-mine plain text")
    assert text == "*** *** plain text"


def test_a_short_value_is_not_looked_for_in_every_text():
    Secret("1")
    assert without_secrets("1 of 10") == "1 of 10"


@pytest.mark.parametrize("name", ["api_key", "apiKey", "HF_TOKEN", "key", "db.password", "secret"])
def test_names_of_secrets(name):
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    ["PWD", "key_dim", "n_tokens", "tokenizer", "monkey", "units", "keys", "password_length"],
)
def test_names_of_other_things(name):
    assert not looks_secret(name)


def test_a_definition_is_shown_without_keys_and_with_its_numbers():
    fixed = {"api_key": repr(CANARY), "key": "64", "url": "'http://me:word@x'", "units": "3"}
    shown = shown_definition({"epochs": 3, "fixed": fixed})
    assert shown["fixed"] == {
        "api_key": "***",
        "key": "64",
        "url": "'http://***@x'",
        "units": "3",
    }
    assert shown_definition(shown) == shown
    assert shown_definition({"epochs": 3}) == {"epochs": 3}


def test_a_record_is_cleaned_where_it_tells_in_words_and_nowhere_else():
    url = "http://me:word@x"
    record = {"error": url, "params": {"url": url}, "folds": [{"notices": [url]}]}
    assert cleaned(record) == {
        "error": "http://***@x",
        "params": {"url": url},
        "folds": [{"notices": ["http://***@x"]}],
    }


def test_what_is_printed_is_clean():
    raw = io.BytesIO()
    stream = CleanText(raw, "utf-8", line_buffering=True)
    print("at http://me:word@x", file=stream)
    assert raw.getvalue() == b"at http://***@x\n"


@pytest.mark.parametrize("part", ["://", "://a:", "token", "token_", "api_key='", "x/", "a@", "@:"])
def test_a_text_is_cleaned_in_time_that_grows_with_its_length_alone(part, monkeypatch):
    """In turns over one long word it would be minutes."""
    long = part * (500_000 // len(part))
    monkeypatch.setenv("LONG", long)
    secrets._remember_environment.cache_clear()
    began = time.perf_counter()
    without_secrets(long)
    assert time.perf_counter() - began < 2.0


def test_a_password_is_found_in_a_long_word_of_many_urls(monkeypatch):
    monkeypatch.setenv("STORES", f"{'http://a/' * 9}sql://me:{CANARY}@db postgres://x:other@y")
    secrets._remember_environment.cache_clear()
    assert without_secrets(f"{CANARY} other") == "*** other"
    assert without_secrets(f"{'http://a/' * 9}sql://me:pw@db x") == "http://***@db x"
