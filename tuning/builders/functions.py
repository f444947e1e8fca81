"""Known functions to try engines on: minima that the literature gives, no training.

Studies of the same names ship.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)

MINIMA: Mapping[str, float] = {
    "branin": 0.39788736,
    "hartmann6": -3.32236801,
    "noisy_branin": 0.39788736,
}
"""The least value of each function, of the noisy one without its noise at full fidelity."""

NOISE = 1.0
"""Standard deviation of `noisy_branin`'s noise; the function itself goes from 0.4 to about 300."""


def branin(x1: float = 0.0, x2: float = 0.0) -> float:
    """Return Branin's function of x1 in [-5, 10] and x2 in [0, 15].

    Its least value, 0.397887, is at (-π, 12.275), (π, 2.275) and (3π, 2.475).

    Source: Dixon and Szegő 1978, "The global optimisation problem";
    https://www.sfu.ca/~ssurjano/branin.html.
    """
    return _branin(x1, x2, 5.1 / (4 * math.pi**2))


def noisy_branin(
    x1: float = 0.0, x2: float = 0.0, fidelity: float = 1.0, seed: int | None = None
) -> float:
    """Return the augmented Branin function with Gaussian noise; its bias shrinks with `fidelity`.

    Without `seed` there is no noise; with fidelity 1 it is Branin's function then.

    Source: Wu et al. 2019, arXiv:1903.04703, the augmented Branin function, as BoTorch's
    `AugmentedBranin` writes it; the noise is ours.
    """
    value = _branin(x1, x2, 5.1 / (4 * math.pi**2) - 0.1 * (1 - fidelity))
    if seed is None:
        return value
    return value + NOISE * float(np.random.default_rng(seed).standard_normal())


def hartmann6(
    *,
    x1: float = 0.5,
    x2: float = 0.5,
    x3: float = 0.5,
    x4: float = 0.5,
    x5: float = 0.5,
    x6: float = 0.5,
) -> float:
    """Return Hartmann's function of six variables in [0, 1].

    Its least value, -3.32237, is at (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573).

    Source: Dixon and Szegő 1978; https://www.sfu.ca/~ssurjano/hart6.html.
    """
    x = np.array([x1, x2, x3, x4, x5, x6])
    return -float(_ALPHA @ np.exp(-np.sum(_A * (x - _P) ** 2, axis=1)))


def _branin(x1: float, x2: float, b: float) -> float:
    bowl = x2 - b * x1**2 + 5 / math.pi * x1 - 6
    return bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x1) + 10
