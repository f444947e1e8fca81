"""A winner's file before it is believed: is it the one that was written, and is it only a model?

A `.keras` file is a zip of a description (`config.json`) and weights (`model.weights.h5`). Keras
refuses code in it with `safe_mode=True`; what it does not look at is looked at here, before Keras
opens it: files beside those of a model, classes of other packages, weights that lie in other files
and sizes that no weights stand behind.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tuning.errors import StorageError
from tuning.ledger.winner import Evaluation
from tuning.storage.durable import open_file

_PARTS = ("metadata.json", "config.json", "model.weights.h5")
_MOST_UNPACKED = 200
"""Times its packed size, that a file's content may have; JSON is packed to a hundredth at most."""
_CODE = ("Lambda", "TFSMLayer", "__lambda__")
_OF_PACKAGES = ("keras", "builtins")
_SIZES = ("units", "filters", "input_dim", "output_dim")
"""Arguments of layers that have at least so many weights."""
_MOST_CELLS = 2**31  # of one sample of an input


class ModelFileError(StorageError):
    """A model's file is not the one that was saved, or holds more than a model."""


def sha256_of(path: Path) -> str:
    """Return 64 hex digits."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changed(evaluation: Evaluation, path: Path) -> str:
    """Return how a winner's file differs from the one that was evaluated, or "".

    Args:
        evaluation: Of the winner; one of release 0.1 may know no digest, and then nothing differs.
        path: The file.
    """
    if not os.path.isfile(path):  # `Path.is_file` raises where a name is too long
        return f"{path} is missing"
    if evaluation.sha256 is None:
        return ""
    sha256 = sha256_of(path)
    if sha256 == evaluation.sha256:
        return ""
    return (
        f"{path} is not the model that was evaluated: its sha256 is {sha256[:16]}…, expected "
        f"{evaluation.sha256[:16]}…"
    )


def load_model_file(
    path: Path, *, sha256: str | None = None, objects: Mapping[str, Any] | None = None
) -> Any:
    """Return the model in a `.keras` file, not compiled.

    Args:
        path: The file.
        sha256: What the record of the winner says; None: the file is taken as it is.
        objects: The user's own layers and functions, by name; others are refused.

    Raises:
        ModelFileError: It is another file, or holds more than a model.
        ValueError, TypeError: Of Keras, which cannot make the model.
    """
    fault = model_fault(path, sha256=sha256, known=objects or ())
    if fault:
        raise ModelFileError(fault)

    import keras

    return keras.saving.load_model(
        path, compile=False, safe_mode=True, custom_objects=dict(objects or {})
    )


def model_fault(path: Path, *, sha256: str | None = None, known: Collection[str] = ()) -> str:
    """Return why a `.keras` file is not to be loaded, or "".

    Args:
        path: The file.
        sha256: What it should have; None: any.
        known: Names of the user's own layers and functions, which it may hold.
    """
    try:
        # Once: what is checked is what was read, whatever becomes of the file meanwhile.
        with open_file(path) as file:
            data = file.read()
    except OSError as error:
        return f"{path}: {error.strerror}"
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        return f"{path} is not the file that was saved: its sha256 is not {sha256[:16]}…"
    try:
        fault = next(_faults(data, known), "")
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        fault = f"it is no model of Keras: {error}"
    return f"{path}: {fault}; it is not loaded" if fault else ""


def _faults(data: bytes, known: Collection[str]) -> Iterator[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        yield from _zip_faults(archive, len(data))
        config = json.loads(archive.read("config.json"))
        yield from _class_faults(config, known)
        yield from _weight_faults(archive.read("model.weights.h5"), config)


def _zip_faults(archive: zipfile.ZipFile, packed: int) -> Iterator[str]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        yield "a file stands in it twice"
    for entry in entries:
        path = PurePosixPath(entry.filename)
        is_part = entry.filename in _PARTS or path.parts[:1] == ("assets",)
        is_link = (entry.external_attr >> 16) & 0o170000 == 0o120000
        if path.is_absolute() or ".." in path.parts or "\\\\" in entry.filename:
            yield f"{entry.filename!r} would be written outside its folder"
        if not is_part or is_link:
            yield f"{entry.filename!r} is no part of a model"
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > _MOST_UNPACKED * packed:
        yield f"{packed} bytes that become {unpacked}"


def _class_faults(config: Any, known: Collection[str]) -> Iterator[str]:
    """Yield what in a description is code, or is imported from elsewhere."""
    for node in _nodes(config):
        name = node.get("class_name")
        if name in _CODE:
            yield f"{name} holds code"
        module = node.get("module")
        if name is None or module is None or "class_name" not in node:
            continue
        package = str(module).partition(".")[0]
        registered = str(node.get("registered_name") or name)
        ours = {str(name), registered, registered.rpartition(">")[2]}
        if package not in _OF_PACKAGES and ours.isdisjoint(known):
            yield f"{module}.{name} is no class of Keras, and none that was given"


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all mappings within JSON."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _weight_faults(data: bytes, config: Any) -> Iterator[str]:
    """Yield weights that lie elsewhere, and sizes that no weights stand behind."""
    import h5py

    n_weights = 0
    with h5py.File(io.BytesIO(data), "r") as file:
        for name, link in _links(file):
            if not isinstance(link, h5py.HardLink):
                yield f"weights {name!r} are a link, out of the file perhaps"
                continue
            item = file[name]
            if not isinstance(item, h5py.Dataset):
                continue
            if item.is_virtual or item.external:
                yield f"weights {name!r} lie in another file"
            elif item.nbytes > item.id.get_storage_size():
                yield f"weights {name!r} of shape {item.shape} are not all there"
            n_weights += item.size or 0

    for node in _nodes(config):
        yield from _size_faults(node, n_weights)


def _links(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each link below a group, without following those that lead elsewhere."""
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        path = f"{prefix}{name}"
        yield path, link
        if isinstance(link, h5py.HardLink) and isinstance(group[name], h5py.Group):
            yield from _links(group[name], f"{path}/")


def _size_faults(node: Mapping[str, Any], n_weights: int) -> Iterator[str]:
    for name in _SIZES:
        size = node.get(name)
        if isinstance(size, int) and size > n_weights:
            yield f"a layer of {name}={size}, where the file has {n_weights} weights"
    for name in ("batch_shape", "batch_input_shape", "target_shape"):
        shape = node.get(name)
        if isinstance(shape, list):
            sizes = [size for size in shape if isinstance(size, int)]
            if math.prod(map(abs, sizes)) > _MOST_CELLS:
                yield f"a layer of {name}={shape}"
