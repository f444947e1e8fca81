"""`docs/how-to/wishes.md`: every line is run as it stands there, and does what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "wishes.md"

PROMISES = {
    "try the whole way quickly": r"Winner: trial \d",
    "search": r"4 completed[\s\S]*Winner: trial \d",
    "go on after Ctrl-C, a crash or a reboot": r"4 completed[\s\S]*Winner: trial \d",
    "have more trials of the same search": r"6 completed[\s\S]*Winner: trial \d",
    "try another engine": r"churn · keras-tuner:random completed",
    "stop bad trials early": r"churn · optuna:tpe\+?\w* completed",
    "change a field of the study for once": r"2 completed",
    "begin with what another search has found": r"churn/optuna-tpe",
    "begin anew": r"2 completed|1 completed, 1 pruned",
    "end before the working day begins": r"churn · optuna:qmc",
    "search a table without writing code": r"Winner: trial \d",
    "run it every night": r"wrote .*units/.*\.timer",
    "know which studies there are": r"churn\s+optuna:tpe\s+maximize val_accuracy",
    "know what will be searched": r"n_neurons\s+4 … 64, log",
    "know which searches there are": r"churn/keras-tuner-random",
    "see what came of a search": r"(?i)winner",
    "see one trial": r"(?i)trial 1\b",
    "follow a search from another terminal": r"(?i)winner",
    "compare with last week's search": r"keras-tuner:random",
    "read the result with a program": r'"winner": \{"number": \d',
    "have the trials as a DataFrame": r"\[10 rows x \d+ columns\]",
    "have a picture": r"",
    "know whether a trial comes out the same again": r"trial 1 of churn/optuna-tpe: equal",
    "have everything in MLflow again": r"churn/optuna-tpe: 10 trials",
    "have the winner's parameters back": r"\{'n_hidden': \d",
    "predict with the winner": r"\[\[0\.\d+ +0\.\d+\]\]",
    "hand the winner to a colleague": r"wrote churn_winner/predict\.py",
    "have the best winner of all searches under one name": r"version 1 of churn\n.*the champion",
    "know which engine is best here": r"optuna:random",
    "know good learning rates": r"steepest",
    "know what this machine has, and what is wrong": r"(?i)python",
}
"""What the output of each line must say."""

LEAVES = {"have a picture": "slices.html", "run it every night": "units"}
"""What some lines leave in the project."""


def wishes() -> list[tuple[str, str]]:
    """The rows of the page: a wish and its line."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^\| ([^|]+?) \| `(.+)` \|$", text, flags=re.MULTILINE)


def test_there_are_25_wishes_and_each_has_one_line_and_a_promise():
    named = [wish for wish, _ in wishes()]
    assert len(named) >= 25
    assert len(set(named)) == len(named)
    assert set(named) == set(PROMISES)


@pytest.fixture
def project(tmp_path):
    """An empty project with a table in it."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"age": rng.integers(18, 90, 200), "income": rng.normal(40, 9, 200)})
    people["bought"] = (people["age"] + people["income"] > 90).map({True: "yes", False: "no"})
    people.to_csv(tmp_path / "people.csv", index=False)
    return tmp_path


def run_line(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of the page in the project, with our Python in front."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outside = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TUNING_HOME", "MLFLOW_TRACKING_URI", "TUNING_STORAGE")
    }
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**outside, "PATH": path, "TUNING_LEASES": str(folder / "leases")},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_line_does_what_its_wish_says(project):
    """One test, for a line builds on those before it."""
    began = run_line("python -m tuning new churn --task binary", project)
    assert began.returncode == 0, began.stderr
    broken = []
    for wish, line in wishes():
        done = run_line(line, project)
        said = done.stdout + done.stderr
        left = project / LEAVES.get(wish, ".")
        if done.returncode or not re.search(PROMISES[wish], said) or not left.exists():
            broken.append(f"{wish}: {line}\nexit code {done.returncode}\n{said[-2000:]}")
    assert not broken, "\n\n".join(broken)
