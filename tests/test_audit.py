"""`make audit`: what pip-audit knows is told, and what could not be looked up is no good news."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tool(tmp_path):
    """Make a stand-in for pip-audit that writes `answer` and ends with `code`."""

    def make(answer, code, complaint=""):
        path = tmp_path / "pip-audit"
        (tmp_path / "given.json").write_text(json.dumps(answer))
        copy = f"cp {tmp_path}/given.json {tmp_path}/answer.json" if answer else ":"
        path.write_text(f"#!/bin/sh\n{copy}\necho '{complaint}' >&2\nexit {code}\n")
        path.chmod(0o755)
        return path

    return make


SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
WEAK = {"name": "idna", "version": "3.6", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.7"]}]}
UNKNOWN = {"name": "mine", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("answer", "code", "expected", "line"),
    [
        ([SOUND], 0, 0, "0 known vulnerabilities in 1 packages"),
        ([SOUND, WEAK], 1, 1, "idna 3.6: PYSEC-1, mended in 3.7"),
        ([SOUND, UNKNOWN], 0, 3, "1 packages were not looked up (mine, …): not found"),
        ([WEAK, UNKNOWN], 1, 1, "1 known vulnerabilities in 1 packages"),
        (None, 1, 3, "nothing could be looked up: no route to host"),
    ],
)
def test_the_exit_code_says_what_is_known(
    script, tool, tmp_path, capsys, answer, code, expected, line
):
    stored = None if answer is None else {"dependencies": answer}
    program = tool(stored, code, "no route to host")
    assert script.audit(program, Path("lock.txt"), tmp_path / "answer.json") == expected
    said = capsys.readouterr()
    assert line in said.out + said.err


def test_an_answer_of_another_time_is_not_taken(script, tool, tmp_path):
    (tmp_path / "answer.json").write_text(json.dumps({"dependencies": [SOUND]}))
    program = tool(None, 1)
    assert script.audit(program, Path("lock.txt"), tmp_path / "answer.json") == 3


def test_without_pip_audit_nothing_is_looked_up(script, tmp_path, monkeypatch, capsys):
    def no_pip(folder, with_pip):
        (folder / "bin").mkdir(parents=True)
        python = folder / "bin" / "python"
        python.write_text("#!/bin/sh\necho 'ERROR: no network' >&2\nexit 1\n")
        python.chmod(0o755)

    monkeypatch.setattr(script.venv, "create", no_pip)
    assert script.main([]) == 3
    assert "pip-audit cannot be installed: ERROR: no network" in capsys.readouterr().err
