"""What a reader should know of a data set before believing its scores."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.data.dataset import Dataset
from tuning.data.facts import notices_on

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
PAIR = np.arange(12) % 2
TAGS = np.arange(48).reshape(12, 4) % 2


@pytest.mark.parametrize(
    ("inputs", "y", "reason"),
    [
        (np.array(["a", "b"] * 6), PAIR, "it takes numbers, the inputs are texts"),
        (X, TAGS, "each row has many answers"),
    ],
)
def test_why_there_is_no_linear_baseline_is_said(inputs, y, reason):
    said = f"no linear baseline: {reason}; the winner is compared with a dummy"
    assert notices_on(Dataset("any", inputs, y, "binary")) == (said,)
    assert notices_on(Dataset("any", X, PAIR, "binary")) == ()


def test_uneven_classes_of_many_answers_are_counted_as_answers():
    y = (np.arange(48).reshape(12, 4) < 40).astype(int)
    uneven, _ = notices_on(Dataset("masks", X, y, "binary"))
    assert uneven == (
        "classes are uneven: 1 83.3%, 0 16.7% of 48 answers; always predicting 1 already scores an "
        "accuracy of 0.833"
    )
