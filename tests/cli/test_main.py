"""The command line through its front door."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tuning.cli import main as front
from tuning.cli.main import VERBS, Verbs, main
from tuning.errors import BusyError, MissingError, StudyError

ROOT = Path(__file__).parents[2]


def tuning(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command, env = [sys.executable, "-m", "tuning", *words], {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def one_verb(monkeypatch):
    """Replace `run` by a verb that does what the test says."""

    def install(action):
        def get_command(self: Verbs, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return click.Command("run", callback=action) if cmd_name == "run" else None

        monkeypatch.setattr(Verbs, "get_command", get_command)

    return install


def test_help_names_every_verb_and_imports_none_of_them():
    code = (
        "import sys; from tuning.cli.main import main; main(['--help']); "
        "print([m for m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    page, _, modules = done.stdout.rpartition("[")
    assert [verb for verb in VERBS if f"  {verb} " not in page] == []
    assert [
        m
        for m in ("numpy", "rich", "keras", "tuning.study.study", "tuning.cli.listing")
        if f"'{m}'" in modules
    ] == []


def processor_s():
    """Return the processor time of all that we have begun and that has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_and_list_start_within_a_second():
    best = {}
    for verb in ("--help", "list"):
        spent = []
        for _ in range(3):  # the best of three: other work on the machine is not ours
            begun = processor_s()
            assert tuning(verb).returncode == 0
            spent.append(processor_s() - begun)
        best[verb] = min(spent)
    assert max(best.values()) < 1, best


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb):
    done = tuning(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout
    assert f"python -m tuning {verb}" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lits"], "no command 'lits'. Did you mean 'list'?"),
        (["list", "--jsn"], "No such option"),
        (["--quick"], "No such option"),
        (["new"], "Missing argument 'NAME'"),
        (["new", "a", "--task", "ranking"], "'ranking' is not one of"),
    ],
)
def test_wrong_words_end_with_2_and_say_what_was_wrong(capsys, words, message):
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [StudyError(["a is wrong", "b is wrong"]), MissingError("no GPU"), BusyError("held")]
)
def test_an_error_of_ours_is_told_in_one_piece_and_gives_its_exit_code(one_verb, capsys, error):
    def fail():
        raise error

    one_verb(fail)
    assert main(["run"]) == error.exit_code
    assert capsys.readouterr().err == f"{error}\n"


def test_an_interrupt_ends_with_130(one_verb):
    def interrupt():
        raise KeyboardInterrupt

    one_verb(interrupt)
    assert main(["run"]) == 130


def test_a_bug_keeps_its_traceback(one_verb):
    def fail():
        raise ZeroDivisionError

    one_verb(fail)
    with pytest.raises(ZeroDivisionError):
        main(["run"])


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (143, 143)])
def test_a_verb_returns_its_exit_code_and_none_is_0(one_verb, returned, code):
    one_verb(lambda: returned)
    assert front.main(["run"]) == code


def test_an_error_reaches_the_shell_as_exit_code_without_traceback(tmp_path):
    done = tuning("list", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("no folder ")
    assert "Traceback" not in done.stderr
