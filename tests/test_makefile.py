"""The Makefile: what is given as STUDY and CALENDAR arrives as it was given, and nothing runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NASTY = (
    "$(touch pwned)",
    "$$(touch pwned)",
    "$(shell touch pwned)",
    "${shell touch pwned}",
    "`touch pwned`",
    "a; touch pwned",
    "a && touch pwned",
    "a | touch pwned",
    "a > pwned",
    'a" ; touch pwned; "',
    "a' ; touch pwned; '",
    "a\ntouch pwned",
    "a\\",
    "$HOME $$ $@ $(MAKE)",
    "a b  c",
    "*",
    "# a",
    "é/ü.py",
)
# `make test` has told this process what it was itself given: ARGS and the like.
_OUTSIDE = {
    name: value
    for name, value in os.environ.items()
    if "MAKE" not in name and name not in ("MFLAGS", "ARGS", "STUDY", "CALENDAR")
}
QUOTED = ("tune", "lr-range", "record", "simulate", "schedule")


@pytest.fixture
def make(tmp_path):
    """Call targets with a Python that writes down its arguments; give those of each call."""
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    for file in ("requirements/cpu.txt", "requirements/cuda.txt", "pyproject.toml", ".venv/ready"):
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    stand_in = tmp_path / "python"
    stand_in.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >>argv\nprintf '\\1' >>argv\n")
    stand_in.chmod(0o755)

    def call(*words, **environment):
        (tmp_path / "argv").unlink(missing_ok=True)
        done = subprocess.run(
            ["make", *words, "PYTHON=./python"],
            cwd=tmp_path,
            env={**_OUTSIDE, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert not (tmp_path / "pwned").exists()
        assert done.returncode == 0, done.stderr
        calls = (tmp_path / "argv").read_text().split("\1")[:-1]
        return [call.split("\0")[:-1] for call in calls]

    return call


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_study_of_any_text_is_one_argument_and_runs_nothing(make, by_environment):
    for value in NASTY:
        given = {"STUDY": value, "CALENDAR": value}
        if by_environment:
            calls = make(*QUOTED, **given)
        else:
            calls = make(*QUOTED, *(f"{name}={text}" for name, text in given.items()))
        assert [argv[3] for argv in calls] == [value] * len(QUOTED)
        assert calls[-1][4:] == ["--calendar", value]


def test_the_studies_of_bench_are_words_and_run_nothing(make):
    for value in NASTY:
        (argv,) = make("bench", f"STUDY={value}", "ARGS=--seeds 2")
        assert argv[3:] == [*value.split(), "--seeds", "2"]


def test_arguments_are_the_shell_words_of_who_calls(make):
    (argv,) = make("tune", "STUDY=a", "ARGS=--set 'x=1 2' --fresh")
    assert argv[3:] == ["a", "--set", "x=1 2", "--fresh"]


def test_no_variable_that_a_user_gives_stands_in_a_recipe():
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("\t")]
    for name in ("STUDY", "CALENDAR", "PYTHON3", "LOCK"):
        inserted = [
            line for line in lines if f"$({name})" in line and not line.startswith("\t@$(if")
        ]
        assert inserted == []
