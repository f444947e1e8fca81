"""The files of `deploy/`: what they say is what the command line takes, and what the lock has."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tuning.cli.run import run

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*.sbatch"))


def locked(package):
    lock = (ROOT / "requirements" / "cuda.txt").read_text()
    return re.search(rf"^{package}==(\S+)", lock, re.MULTILINE)[1]


def ray_job():
    _, job = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text())
    return job["spec"]


def words_of_run(command):
    """The words behind `tuning run`, as the command line reads them."""
    words = shlex.split(command)
    words = words[words.index("run") + 1 :]
    return run.make_context("run", words).params


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_job_script_is_bash(script):
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_job_script_runs_is_understood(script):
    (line,) = re.findall(r"^\S+python (-m tuning run .*) &$", script.read_text(), re.MULTILINE)
    words = words_of_run(line.replace('"$@"', "housing --trials 5"))
    assert words["study"] == "housing"
    if "cluster" in script.name:
        assert (words["executor"], words["ray_address"]) == ("ray", "$address:$port")


def test_what_kuberay_runs_is_understood():
    words = words_of_run(ray_job()["entrypoint"])
    assert (words["study"], words["executor"]) == ("housing", "ray")


def test_kuberay_and_its_image_have_the_locked_ray():
    assert ray_job()["rayClusterSpec"]["rayVersion"] == locked("ray")
    assert f'"ray[default]=={locked("ray")}"' in (DEPLOY / "Dockerfile").read_text()


def test_only_who_has_the_token_may_use_the_cluster():
    assert ray_job()["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert (
        "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN" in (DEPLOY / "slurm_cluster.sbatch").read_text()
    )
