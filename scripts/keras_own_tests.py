#!/usr/bin/env python3
"""Keras' own tests of its trainer and callbacks, with our `train` in place of `Model.fit`.

`python scripts/keras_own_tests.py PATH` takes a checkout of Keras of the release that is installed
and prints a Markdown table. A call of `fit` whose arguments `train` does not have, or whose data it
leaves to `fit`, goes to `fit`, and the table counts its reason. Nothing of Keras is changed but
`fit`; exit code 1 where a test fails that passes without us.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

TESTS = ("keras/src/trainers/trainer_test.py", "keras/src/callbacks/*_test.py")

LAST_BIT = ("test_swap_ema_weights", "test_swap_ema_weights_with_loss_scale_optimizer")
LAST_BIT_WHY = "XLA takes in another order"

_FITS_ALONE = (
    "validation_split",
    "steps_per_epoch",
    "validation_steps",
    "validation_batch_size",
    "validation_freq",
)
_DEFAULTS = {"validation_split": 0.0, "validation_freq": 1}


class InPlaceOfFit:
    """Calls `Fit` where `fit` is called, and notes for each test which way its calls went.

    Attributes:
        ways: By the test's id: "compiled", or why it was `fit`.
    """

    def __init__(self) -> None:
        import keras

        self.ways: dict[str, list[str]] = defaultdict(list)
        self._fit = keras.Model.fit
        self._test = ""
        self._within = False

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Within it, `fit` of Keras' trainer is ours."""
        import keras

        ours = self

        def fit(model: Any, x: Any = None, y: Any = None, **settings: Any) -> Any:
            return ours.fit(model, x, y, settings)

        # The tests mix the trainer into layers, too, that are no `keras.Model`.
        trainer = next(kind for kind in keras.Model.__mro__ if "fit" in vars(kind))
        trainer.fit = fit  # type: ignore[attr-defined]
        try:
            yield
        finally:
            trainer.fit = self._fit  # type: ignore[attr-defined]

    def fit(self, model: Any, x: Any, y: Any, settings: dict[str, Any]) -> Any:
        """Train as `fit` does, by `Fit` where that can."""
        if self._within:  # `Fit` has gone to `fit`
            return self._fit(model, x, y, **settings)
        reason = _argument_of_fit(settings)
        if reason or model.__class__.fit is not type(model).fit:
            return self._by_fit(model, x, y, settings, reason)
        return self._by_train(model, x, y, settings)

    def _by_fit(self, model: Any, x: Any, y: Any, settings: dict[str, Any], reason: str) -> Any:
        self.ways[self._test].append(reason)
        return self._fit(model, x, y, **settings)

    def _by_train(self, model: Any, x: Any, y: Any, settings: dict[str, Any]) -> Any:
        import keras

        from tuning.trainer.train import Fit, Rows

        callbacks = settings.get("callbacks") or []
        if isinstance(callbacks, keras.callbacks.CallbackList):
            return self._by_fit(model, x, y, settings, "callbacks are a CallbackList")
        validation = settings.get("validation_data")
        if not isinstance(x, keras.KerasTensor | _arrays()) and not keras.tree.is_nested(x):
            return self._by_fit(model, x, y, settings, "the data are a data set or a generator")
        if validation is not None and not isinstance(validation, tuple | list):
            return self._by_fit(model, x, y, settings, "the data are a data set or a generator")

        fit = Fit(
            model,
            Rows(x, y, settings.get("sample_weight")),
            validation=None if validation is None else Rows(*validation),
            epochs_total=settings.get("epochs", 1),
            initial_epoch=settings.get("initial_epoch", 0),
            batch_size=settings.get("batch_size") or 32,
            callbacks=callbacks if isinstance(callbacks, list | tuple) else [callbacks],
            class_weight=settings.get("class_weight"),
            shuffle=settings.get("shuffle", True),
        )
        self._within = True
        try:
            for _ in fit.epochs():
                pass
        finally:
            self._within = False
            reasons = [note.removeprefix("trained by model.fit: ") for note in fit.notes]
            self.ways[self._test] += reasons or ["compiled"]
        return model.history

    def pytest_runtest_setup(self, item: Any) -> None:
        """Note which test the calls to come belong to."""
        self._test = _file_and_name(item.nodeid)


class Outcomes:
    """What became of each test, as pytest's reports say."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the outcome; a failure in set-up counts, too."""
        if report.when == "call" or report.outcome != "passed":
            self.of[_file_and_name(report.nodeid)] = str(report.outcome)


def _argument_of_fit(settings: dict[str, Any]) -> str:
    for name in _FITS_ALONE:
        value = settings.get(name)
        if value is not None and value != _DEFAULTS.get(name):
            return f"{name}= is an argument of fit alone"
    return ""


def _arrays() -> Any:
    import numpy as np
    import tensorflow as tf

    return np.ndarray | tf.Tensor


def _file_and_name(test: str) -> str:
    """Return a test's id without the folder, which pytest writes in one of two ways."""
    return test.split("/")[-1]


def _run(tests: Sequence[Path | str], plugins: Sequence[Any]) -> None:
    arguments = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--import-mode=importlib"]
    pytest.main([*arguments, "-c", "/dev/null", *map(str, tests)], plugins=list(plugins))


def _copied(checkout: Path, folder: Path) -> list[Path]:
    """Copy the tests out of the checkout, whose `keras` must not be imported."""
    copies = []
    for pattern in TESTS:
        for source in sorted(checkout.glob(pattern)):
            text = source.read_text()
            if find_spec("jax") is None:  # imported at the top, used with another backend alone
                text = text.replace("import jax\n", "jax = None\n")
            copies.append(folder / source.name)
            copies[-1].write_text(text)
    if (checkout / "conftest.py").exists():
        shutil.copy(checkout / "conftest.py", folder)
        sys.path.insert(0, str(folder))
    return copies


def _print_table(ways: dict[str, list[str]], before: Outcomes, after: Outcomes) -> list[str]:
    """Print one row a file; return the tests that fail with us alone."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    broken = []
    for test, outcome in after.of.items():
        row = rows[test.split("::")[0]]
        plain = before.of.get(test, "")
        if outcome == "failed" and plain == "failed":
            row["fails without us, too"] += 1
        elif outcome == "failed" and test.split("::")[-1] in LAST_BIT:
            row["by design"] += 1
            reasons[f"it wants the last bit of `evaluate`, whose sums {LAST_BIT_WHY}"] += 1
        elif outcome == "failed":
            row["failed"] += 1
            broken.append(test)
        elif outcome == "skipped" or test not in ways:
            row["no fit"] += 1
        elif all(way == "compiled" for way in ways[test]):
            row["compiled"] += 1
        else:
            row["by design"] += 1
            reasons.update({way for way in ways[test] if way != "compiled"})

    columns = ("compiled", "by design", "no fit", "fails without us, too", "failed")
    print("| tests | " + " | ".join(columns) + " |")
    print("|---|" + "--:|" * len(columns))
    for name, row in sorted(rows.items()):
        print(f"| `{name}` | " + " | ".join(str(row[column]) for column in columns) + " |")
    total = sum(rows.values(), Counter())
    print("| **all** | " + " | ".join(f"**{total[column]}**" for column in columns) + " |")
    print("\n| by design: why it was `fit` | tests |\n|---|--:|")
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        print(f"| {reason} | {count} |")
    return broken


def main() -> int:
    """Run the tests with ours in place of `fit`, those that fail again without; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="a checkout of Keras, of the release installed")
    checkout = parser.parse_args().checkout

    with tempfile.TemporaryDirectory() as folder:
        files = _copied(checkout, Path(folder))
        if not files:
            print(f"{checkout}: no {TESTS[0]} in it; give the root of a checkout", file=sys.stderr)
            return 2
        before, after = Outcomes(), Outcomes()
        ours = InPlaceOfFit()
        with ours.patched():
            _run(files, [after, ours])
        failed = [test for test, outcome in after.of.items() if outcome == "failed"]
        if failed:
            _run([f"{folder}/{test}" for test in failed], [before])
        broken = _print_table(ours.ways, before, after)
    for test in broken:
        print(f"fails with train in place of fit: {test}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
