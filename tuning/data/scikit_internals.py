"""The private names of scikit-learn that the faces need, behind one function of ours.

Checked with scikit-learn 1.9.1; `tests/data/test_scikit_internals.py` names each and fails in words
when the library drops it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tuning.data.dataset import Array

CHECKED_WITH = "1.9.1"

_FACE = (slice(70, 195), slice(78, 172))
"""The rows and columns of a picture that show the face: `fetch_lfw_people`'s own default."""


class Faces(NamedTuple):
    """Photographs, float32 `(rows, 31, 23)` from 0 to 1, and the name of each one's person."""

    X: Array
    names: Array


def read_faces(folder: Path, *, least: int) -> Faces:
    """Return the photographs of Labelled Faces in the Wild; fetch what is not there.

    The public `fetch_lfw_people` does the same, but keeps its result as a pickle in this folder and
    unpickles what it finds there the next time. Nothing from the folder may be unpickled.

    Args:
        folder: Holds `lfw_home`.
        least: Photographs that a person must have.

    Raises:
        OSError, ValueError, RuntimeError: There is no way there, the archive is torn, or a picture
            is none.
    """
    from sklearn.datasets._lfw import _check_fetch_lfw, _fetch_lfw_people

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Retry downloading")
        _, pictures = _check_fetch_lfw(data_home=str(folder), n_retries=1)
    X, person_numbers, people = _fetch_lfw_people(
        pictures, slice_=_FACE, resize=0.25, min_faces_per_person=least
    )
    return Faces(X, np.asarray(people)[person_numbers])
