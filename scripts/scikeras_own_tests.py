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

PLUGIN = """
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
        size = (n, *shape)
        X = rng.integers(0, 255, size).astype("uint8") if classes else rng.normal(size=size)
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
"""

FITS_THE_TRAINER = "looks at the arguments of `Model.fit`, which our trainer need not call"
OWN_WORDS = "refused as well, in other words"
OWN_DEFAULT = "expects one epoch by default; ours are 30, which train something"
CASTS = "numbers of another type, or a column for a vector, mean the same: they are taken"
DRAWS = "a `RandomState` is drawn from at each fit, as by scikit-learn's own estimators"
NAMED_ALONE = "a builder's **kwargs hold its own parameters; it names `meta` where it wants it"
REPEATED_ROWS = "a row given twice is another order of the batches than a row of weight 2"

BY_DESIGN = (
    ("test_input_outputs.py::test_input_dtype_conversion", FITS_THE_TRAINER),
    (
        "test_input_outputs.py::test_output_shapes_and_dtypes_against_sklearn_reg",
        "predictions are float64, as those of scikit-learn's own regressors",
    ),
    ("test_parameters.py::test_kwargs", FITS_THE_TRAINER),
    ("test_parameters.py::test_batch_size_all_fit[", FITS_THE_TRAINER),
    (
        "test_parameters.py::test_batch_size_all",
        "expects a fault for X without a shape; every X becomes an array here",
    ),
    ("test_parameters.py::TestMetricsParam", OWN_DEFAULT),
    ("test_parameters.py::TestRandomState", DRAWS),
    ("test_callbacks.py::test_callbacks_prefixes", OWN_DEFAULT),
    ("test_param_routing.py::test_routing_kwargs", NAMED_ALONE),
    (
        "test_param_routing.py::test_parameter_precedence",
        "passes an argument that only a subclass's own `fit` knows: refused, with what fit takes",
    ),
    ("test_errors.py::TestInvalidBuildFn", OWN_WORDS),
    ("test_errors.py::test_X_shape_change", OWN_WORDS),
    ("test_errors.py::test_build_fn_and_init_signature_do_not_agree", OWN_WORDS),
    ("test_errors.py::test_target_shape_changes_incremental_fit_clf", OWN_WORDS),
    ("test_errors.py::test_target_d", CASTS),
    ("test_errors.py::test_X_dtype_changes_incremental_fit", CASTS),
    ("test_errors.py::test_sample_weights_all_zero", OWN_WORDS),
    ("test_input_outputs.py::test_incompatible_output_dimensions", OWN_WORDS),
    ("test_api.py::test_compile_model_from_params", OWN_WORDS),
    (
        "test_api.py::TestInitialize::test_prebuilt_model",
        "wants the last bit of `Model.predict`; ours differs by 2e-7 of the value",
    ),
    (
        "test_deprecation.py::test_build_fn_deprecation",
        "`build_fn` is taken without a warning: it is what the programs have",
    ),
    ("check_sample_weight_equivalence", REPEATED_ROWS),
)
"""(a part of a test's name, why ours does something else)."""


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
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": name,
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    **environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return dict(json.loads(result.read_text()))


def judge(name: str, outcome: str, plain: str) -> str:
    """Return one word on a test, with the reason where there is one."""
    if outcome != "failed":
        return outcome
    for part, reason in BY_DESIGN:
        if part in name:
            return f"by design: {reason}"
    return "fails with SciKeras too" if plain == "failed" else "failed"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
