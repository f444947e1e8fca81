"""Small data sets that scikit-learn ships or generates; the courses' own parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuning.data.dataset import Dataset, Task


def blobs() -> Dataset:
    """Return two adjacent clouds of 1,000 points.

    The best possible accuracy is about 0.915, that of a straight line.
    """
    from sklearn.datasets import make_blobs

    X, y = make_blobs(1000, centers=2, n_features=2, random_state=54, cluster_std=2)
    return _made(
        "blobs", X, y, "make_blobs(1000, centers=2, n_features=2, random_state=54, cluster_std=2)"
    )


def circles() -> Dataset:
    """Return a noisy circle of 1,000 points inside another.

    No classifier can expect more than 0.829 accuracy.
    """
    from sklearn.datasets import make_circles

    X, y = make_circles(1000, factor=0.4, noise=0.3, random_state=2)
    return _made("circles", X, y, "make_circles(1000, factor=.4, noise=.3, random_state=2)")


def moons() -> Dataset:
    """Return two interleaved half circles of 1,000 points, with noise 0.2."""
    from sklearn.datasets import make_moons

    X, y = make_moons(1000, noise=0.2, random_state=42)
    return _made("moons", X, y, "make_moons(1000, noise=.2, random_state=42)")


def iris() -> Dataset:
    """Return Fisher's 150 flowers: 4 lengths in cm, 3 species."""
    from sklearn.datasets import load_iris

    return _shipped("iris", load_iris(), "multiclass")


def iris_pair() -> Dataset:
    """Return 100 flowers, setosa and virginica, by length and width of their petals.

    A straight line separates them.
    """
    from sklearn.datasets import load_iris

    loaded = load_iris()
    rows = loaded.target != 1
    columns = [2, 3]
    return Dataset(
        name="iris_pair",
        X=np.asarray(loaded.data[rows][:, columns], float),
        y=(loaded.target[rows] == 2).astype(int),
        task="binary",
        classes=("setosa", "virginica"),
        source="scikit-learn: load_iris, two species, their petals",
        feature_names=tuple(str(loaded.feature_names[i]) for i in columns),
    )


def multilabel() -> Dataset:
    """Return 1,000 made documents of 20 word counts; any of 5 topics may apply to each."""
    from sklearn.datasets import make_multilabel_classification

    X, y = make_multilabel_classification(
        1000, n_features=20, n_classes=5, n_labels=2, random_state=42
    )
    return Dataset(
        name="multilabel",
        X=X,
        y=y,
        task="multilabel",
        classes=tuple(f"topic {i}" for i in range(5)),
        source=(
            "scikit-learn: "
            "make_multilabel_classification(1000, n_features=20, n_classes=5, random_state=42)"
        ),
    )


def multi_output() -> Dataset:
    """Return 2,000 points of a surface with three heights.

    y = (sin πx₁x₂ + x₃², x₁ cos πx₄, x₂x₅), with noise 0.05.
    """
    rng = np.random.default_rng(42)
    X = rng.uniform(-1, 1, (2000, 5))
    x1, x2, x3, x4, x5 = X.T

    heights = np.column_stack(
        [
            np.sin(np.pi * x1 * x2) + x3**2,
            x1 * np.cos(np.pi * x4),
            x2 * x5,
        ]
    )

    return Dataset(
        name="multi_output",
        X=X,
        y=heights + rng.normal(0, 0.05, heights.shape),
        task="regression",
        feature_names=("x1", "x2", "x3", "x4", "x5"),
        source="made: smooth functions of 5 numbers, noise 0.05",
    )


def wine() -> Dataset:
    """Return 178 wines: 13 measurements, 3 growers."""
    from sklearn.datasets import load_wine

    return _shipped("wine", load_wine(), "multiclass")


def breast_cancer() -> Dataset:
    """Return 569 tumours: 30 measurements; 0 is malignant, 1 benign, as in scikit-learn."""
    from sklearn.datasets import load_breast_cancer

    return _shipped("breast_cancer", load_breast_cancer(), "binary")


def digits() -> Dataset:
    """Return 1,797 handwritten digits of 8 × 8 pixels from 0 to 1, a small stand-in for MNIST."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return Dataset(
        name="digits",
        X=loaded.images / 16.0,
        y=loaded.target,
        task="multiclass",
        classes=tuple(map(str, loaded.target_names)),
        scale=False,
        source="scikit-learn: load_digits, divided by 16",
    )


def _made(name: str, X: Any, y: Any, call: str) -> Dataset:
    return Dataset(
        name=name,
        X=X,
        y=y,
        task="binary",
        classes=("0", "1"),
        feature_names=("x1", "x2"),
        source=f"scikit-learn: {call}",
    )


def _shipped(name: str, loaded: Any, task: Task) -> Dataset:
    return Dataset(
        name=name,
        X=np.asarray(loaded.data, float),
        y=np.asarray(loaded.target),
        task=task,
        classes=tuple(map(str, loaded.target_names)),
        feature_names=tuple(map(str, loaded.feature_names)),
        source=f"scikit-learn: load_{name}",
    )
