"""Set-up: the Makefile and scripts/setup.sh, with a stand-in for Python and pip; the real one is
what runs these.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# A Python that answers as asked in its folder, and notes what it was called for.
PYTHON = """#!/bin/sh
here={here}
case "$*" in
    "-c import sys"*) cat "$here/version" ;;
    "-c import ensurepip"*) [ ! -e "$here/no-venv" ] ;;
    "-m venv"*)
        mkdir -p "$3/bin" "$3/lib" && cp "$0" "$3/bin/python" && echo venv >>"$here/calls" ;;
    "-m pip"*" -r "*)
        echo "$*" >>"$here/calls"
        [ ! -e "$here/pip-fails" ] || { cat "$here/pip-fails"; exit 1; } ;;
    *) echo "$*" >>"$here/calls" ;;
esac
"""


class Clone:
    """A checkout without the package, and a PATH whose only Python is the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a clone"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.folder.mkdir()
        for name in ("scripts", "requirements"):
            shutil.copytree(ROOT / name, self.folder / name)
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder / name)
        for tool in (
            "sh",
            "make",
            "sed",
            "grep",
            "tail",
            "mktemp",
            "rm",
            "mv",
            "cp",
            "cat",
            "mkdir",
            "cmp",
            "touch",
            "uname",
            "dirname",
            "expand",
            "flock",
        ):
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.add("python3", PYTHON.replace("{here}", f"'{self.bin}'"))
        self.say("version", "3.12")

    def add(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)  # never through a link into the system
        path.write_text(text)
        path.chmod(0o755)

    def say(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text + "\n")

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": str(self.bin), "TMPDIR": str(self.bin)}
        command = [str(self.bin / "make"), *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def calls(self) -> list[str]:
        path = self.bin / "calls"
        made = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return made

    @property
    def ready(self) -> bool:
        return (self.folder / ".venv" / "ready").exists()


@pytest.fixture
def clone(tmp_path) -> Clone:
    return Clone(tmp_path)


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """What was said, without make's own word that a target failed."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    said = [line for line in lines if "installing" not in line]
    assert len(said) == 1, done.stderr
    return said[0]


def test_a_fresh_clone_installs_the_cpu_lock_with_hashes_and_compiles(clone):
    assert clone.make("doctor").returncode == 0
    venv, locked, own, compiled, machine_code, verb = clone.calls()
    assert venv == "venv"
    assert {"--require-hashes", "--no-deps", "requirements/cpu.txt"} <= set(locked.split())
    assert own.endswith("-e .")
    assert compiled.startswith("-m compileall")
    assert "tuning.trainer.native.epoch import load" in machine_code
    assert verb == "-m tuning doctor"


def test_a_second_call_installs_nothing(clone):
    clone.make("doctor")
    clone.calls()
    assert clone.make("doctor").returncode == 0
    assert clone.calls() == ["-m tuning doctor"]


def test_a_machine_with_a_gpu_gets_the_cuda_lock(clone):
    clone.add("nvidia-smi", "#!/bin/sh\necho 'GPU 0: NVIDIA A100 (UUID: GPU-1)'\n")
    clone.add("uname", "#!/bin/sh\necho Linux x86_64\n")
    clone.make(".venv/ready")
    assert "requirements/cuda.txt" in clone.calls()[1]


def test_nvidia_smi_without_a_gpu_is_no_gpu(clone):
    clone.add("nvidia-smi", "#!/bin/sh\necho 'No devices found'\n")
    clone.make(".venv/ready")
    assert "requirements/cpu.txt" in clone.calls()[1]


@pytest.mark.parametrize("version", ["3.10", "3.14", "2.7"])
def test_a_python_too_old_or_too_new_is_one_line(clone, version):
    clone.say("version", version)
    done = clone.make("doctor")
    assert done.returncode != 0
    assert only_line(done) == (
        f"set-up: needs Python 3.11, 3.12 or 3.13 with venv; python3 is {version}. "
        "PYTHON3=/path/to/python names another."
    )
    assert not clone.ready


def test_a_python_without_venv_is_one_line_that_names_the_package(clone):
    clone.say("no-venv", "")
    done = clone.make("doctor")
    assert done.returncode != 0
    assert "python3 has no venv module (Debian, Ubuntu: apt install python3.12-venv)" in only_line(
        done
    )


def test_no_python_at_all_is_one_line(clone):
    (clone.bin / "python3").unlink()
    assert "there is none on PATH" in only_line(clone.make("doctor"))


@pytest.mark.parametrize(
    ("pip", "said"),
    [
        (
            "WARNING: Retrying: NewConnectionError\nERROR: No matching distribution",
            "Is there a network?",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n  more", "DO NOT MATCH THE HASHES"),
        ("something odd", "something odd"),
    ],
)
def test_an_installation_that_fails_is_one_line_and_leaves_nothing(clone, pip, said):
    clone.say("pip-fails", pip)
    done = clone.make("doctor")
    assert done.returncode != 0
    assert said in only_line(done)
    assert not (clone.folder / ".venv").exists()
    assert list(clone.bin.glob("tmp*")) == []


def test_a_new_lock_that_cannot_be_installed_leaves_the_old_environment_and_is_tried_again(clone):
    clone.make(".venv/ready")
    lock = clone.folder / "requirements" / "cpu.txt"
    os.utime(lock, (2**31, 2**31))  # newer than any stamp
    lock.write_text(lock.read_text() + "# another\n")
    os.utime(lock, (2**31, 2**31))
    clone.say("pip-fails", "ERROR: none")
    clone.calls()
    assert clone.make("doctor").returncode != 0
    assert (clone.folder / ".venv" / "bin" / "python").exists()
    assert not (clone.folder / ".venv.old").exists()
    assert [call for call in clone.calls() if call == "-m tuning doctor"] == []
    (clone.bin / "pip-fails").unlink()
    assert clone.make("doctor").returncode == 0
    assert "requirements/cpu.txt" in clone.calls()[1]


def test_a_half_made_environment_is_made_anew(clone):
    (clone.folder / ".venv" / "bin").mkdir(parents=True)
    assert clone.make("doctor").returncode == 0
    assert clone.calls()[0] == "venv"


def test_a_changed_project_file_reinstalls_only_the_project(clone):
    clone.make(".venv/ready")
    clone.calls()
    os.utime(clone.folder / "pyproject.toml", (2**31, 2**31))
    clone.make(".venv/ready")
    assert [call.split()[-2:] for call in clone.calls()] == [["-e", "."]]


def test_tune_without_a_study_is_one_line_and_installs_nothing(clone):
    (clone.folder / "studies").mkdir()
    for name in ("housing", "_helpers", "iris"):
        (clone.folder / "studies" / f"{name}.py").touch()
    done = clone.make("tune")
    assert done.returncode == 2
    assert done.stderr.endswith("say which study: STUDY=housing; there are: housing iris.  Stop.\n")
    assert clone.calls() == []


def test_tune_hands_study_and_arguments_on(clone):
    assert clone.make("tune", "STUDY=my file.py", "ARGS=--trials 5 --devices cpu:2").returncode == 0
    assert clone.calls()[-1] == "-m tuning run my file.py --trials 5 --devices cpu:2"


def test_help_is_the_default_and_names_every_target():
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    named = [line.split()[0] for line in done.stdout.splitlines()]
    assert named == re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.M)


@pytest.mark.parametrize("lock", ["cpu", "cuda"])
def test_a_lock_pins_every_package_with_hashes_and_names_no_host_or_path(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert re.search(r"https?:|file:|--index|--find-links|--extra|\s/|@ ", text) is None
    pins = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert len(pins) > 100
    assert [pin.split()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_tensorflow_and_tensorflow_cpu_are_never_in_one_environment():
    for lock in ("cpu", "cuda"):
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        pins = [
            Requirement(line.rstrip(" \\"))
            for line in re.findall(r"^tensorflow.*==.*$", text, flags=re.M)
        ]
        for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")):
            for python in ("3.11.7", "3.12.0", "3.13.9"):
                env = {
                    "sys_platform": system,
                    "platform_machine": machine,
                    "python_full_version": python,
                }
                chosen = [
                    pin.name for pin in pins if pin.marker is None or pin.marker.evaluate(env)
                ]
                cpu = "tensorflow-cpu" if (system, machine) == ("linux", "x86_64") else "tensorflow"
                cuda = ["tensorflow"] if (system, machine) == ("linux", "x86_64") else []
                assert chosen == ([cpu] if lock == "cpu" else cuda)


def test_every_package_imported_is_declared():
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {Requirement(text).name for text in given["dependencies"]}
    for extra in given["optional-dependencies"].values():
        declared |= {Requirement(text).name for text in extra}
    imported = {
        name.split(".")[0]
        for path in (ROOT / "tuning").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        for name in _names(node)
    }
    packages = {
        name: {canonicalize_name(owner) for owner in owners}
        for name, owners in metadata.packages_distributions().items()
    }
    foreign = imported - sys.stdlib_module_names - {"tuning"}
    assert [
        name for name in sorted(foreign) if name in packages and not declared & packages[name]
    ] == []


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [] if node.level else [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


@pytest.mark.parametrize(
    ("check", "test", "closing", "code"),
    [
        (0, 0, "12 passed, 1 skipped in 3.21s", 0),
        (0, 2, "1 failed, 12 passed in 3.21s", 1),
        (2, 0, "12 passed in 3.21s", 1),
        (0, 2, "no tests ran in 0.01s", 1),
        (0, 2, "", 1),
    ],
)
def test_ci_passes_only_when_checks_and_tests_do_and_ends_with_pytests_own_line(
    tmp_path, check, test, closing, code
):
    folder = tmp_path / ".ci"
    folder.mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / "run")
    stub = tmp_path / "make"
    stub.write_text(
        f"#!/bin/sh\ncase $1 in check) exit {check} ;; esac\necho '{closing}'\nexit {test}\n"
    )
    stub.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [folder / "run"], env=env, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == code
    last = done.stdout.splitlines()[-1]
    assert last == ("no tests ran" if "passed" not in closing else closing)
