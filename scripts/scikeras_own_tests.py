"""SciKeras' own tests, with our estimators in place of its own: `scikeras_own_tests.py PATH`.

PATH is a checkout of SciKeras 0.13; nothing of it is kept here. The tests run twice, with SciKeras'
own classes and with ours: what fails in both is the work of newer versions of Keras or scikit-learn
and says nothing about ours. Data sets that the tests would fetch are random ones of their shapes.
The table that is printed stands in `docs/keras-compatibility.md`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

PLUGIN = '''
import json, os
import keras, numpy as np
import keras.src.backend.common.variables as variables

OUTCOMES = {}
if not hasattr(variables, "KerasVariable"):  # its name in the Keras that the tests were written for
    variables.KerasVariable = variables.Variable

def _pairs(train, test, shape, classes):
    rng = np.random.default_rng(0)
    def rows(n):
        y = rng.integers(0, classes, n) if classes else rng.normal(20, 5, n)
        X = rng.integers(0, 255, (n, *shape)).astype("uint8") if classes else rng.normal(size=(n, *shape))
        return X, y
    return rows(train), rows(test)

keras.datasets.mnist.load_data = lambda *a, **k: _pairs(2000, 300, (28, 28), 10)
keras.datasets.boston_housing.load_data = lambda *a, **k: _pairs(404, 102, (13,), 0)

if os.environ["WHOSE"] == "ours":
    import scikeras.wrappers
    import tuning.estimators.wrappers as ours
    scikeras.wrappers.KerasClassifier = ours.KerasClassifier
    scikeras.wrappers.KerasRegressor = ours.KerasRegressor

def _fetched(name, columns):
    from sklearn.utils import Bunch
    def fetch(*args, **kwargs):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(500, columns))
        data = Bunch(data=X, target=X[:, 0] + rng.normal(size=500))
        return (data.data, data.target) if kwargs.get("return_X_y") else data
    return fetch

import sklearn.datasets
sklearn.datasets.fetch_california_housing = _fetched("california", 8)

def pytest_runtest_logreport(report):
    before = OUTCOMES.get(report.nodeid, "passed")
    if report.failed:
        OUTCOMES[report.nodeid] = "failed"
    elif report.skipped and before == "passed":
        OUTCOMES[report.nodeid] = "skipped"
    else:
        OUTCOMES.setdefault(report.nodeid, "passed")

def pytest_sessionfinish():
    with open(os.environ["OUTCOMES"], "w") as file:
        json.dump(OUTCOMES, file)
'''

LOOKS_AT_FIT = "looks at the arguments of `Model.fit`, which our trainer does not call"
OWN_WORDS = "refused as there, in other words"
OF_THE_CHECK = "what the check wants is not asked of estimators whose parameters are a builder's"

BY_DESIGN: tuple[tuple[str, str], ...] = ()
"""(the beginning of a test's name, why ours does something else)."""


def main(checkout: Path) -> int:
    """Run both, print the table; return 1 where one of ours fails without a reason."""
    plain = outcomes(checkout, "theirs")
    ours = outcomes(checkout, "ours")
    rows = {name: judge(name, outcome, plain.get(name, "")) for name, outcome in ours.items()}
    counts = Counter(word.partition(":")[0] for word in rows.values())

    for name, word in sorted(rows.items()):
        if word not in ("passed", "skipped"):
            print(f"{name}  {word}")
    print("\n| tests | " + " | ".join(sorted(counts)) + " |")
    print("|--:|" + "--:|" * len(counts))
    print(f"| {len(rows)} | " + " | ".join(str(counts[key]) for key in sorted(counts)) + " |")
    return int(bool(counts["failed"]))


def outcomes(checkout: Path, whose: str) -> dict[str, str]:
    """Return how each test ended, by its name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scikeras_plugin.py").write_text(PLUGIN)
        result = folder / "outcomes.json"
        environment = {"PYTHONPATH": name, "WHOSE": whose, "OUTCOMES": str(result)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "scikeras_plugin"]
        quiet = ["-p", "no:cacheprovider", "-p", "no:randomly", "-o", "addopts=", "--tb=short"]
        with (Path.cwd() / f"scikeras-{whose}.log").open("w") as log:
            subprocess.run(
                [*command, *quiet, "--rootdir", ".", "tests"],
                cwd=checkout,
                env={"PATH": "/usr/bin:/bin", "HOME": name, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return dict(json.loads(result.read_text()))


def judge(name: str, outcome: str, plain: str) -> str:
    """Return one word on a test, with the reason where there is one."""
    if outcome != "failed":
        return outcome
    test = name.rpartition("/")[2]
    for beginning, reason in BY_DESIGN:
        if test.startswith(beginning):
            return f"by design: {reason}"
    return "fails with SciKeras too" if plain == "failed" else "failed"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
