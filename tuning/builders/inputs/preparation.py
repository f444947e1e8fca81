"""How inputs are prepared for a model: decided by what the numbers mean and what reads them.

standardise   quantities: each feature has mean 0 and deviation 1 on the training rows
pixels        uint8 images: divided by 255
cast          yes and no, and whatever is not to be touched: float32
leave         token ids, texts, and what the model's own first layers prepare: as they are
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tuning.data.arrays import Array, Arrays, each, named
from tuning.data.faults import holds_text
from tuning.data.parts import Parts, Scale, Scaler, Scaling, Several, scaler

Preparation: TypeAlias = Literal["standardise", "pixels", "cast", "leave"]
FirstLayer: TypeAlias = Literal["", "lookup", "own", "mask"]
"""What first reads an input: "lookup" takes whole numbers or texts, "own" prepares it itself,
"mask" skips the steps that are 0, "" is any other layer.
"""

BRIGHTEST = 255.0

_IN_WORDS: Mapping[Preparation, str] = {
    "standardise": "standardised",
    "pixels": "divided by 255",
    "cast": "left as they are",
    "leave": "left as they are",
}
_REASONS: Mapping[FirstLayer, str] = {
    "lookup": "the model looks them up",
    "own": "the model prepares them itself",
    "mask": "the model skips steps of 0",
}


@dataclass(frozen=True, eq=False)
class Pixels:
    """Divides by 255."""

    def transform(self, X: Arrays) -> Arrays:
        """Return float32 from 0 to 1."""
        return each(lambda array: array.astype(np.float32) / np.float32(BRIGHTEST), X)


@dataclass(frozen=True, eq=False)
class AsTheyAre:
    """Leaves inputs alone: whole numbers stay whole, texts stay texts."""

    def transform(self, X: Arrays) -> Arrays:
        """Return `X`; floats as float32."""
        return each(_narrowed, X)


def _narrowed(array: Array) -> Array:
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return texts_as_objects(array)


def texts_as_objects(array: Array) -> Array:
    """Return texts as TensorFlow reads them at any length; other arrays as they are."""
    return array.astype(object) if array.dtype.kind == "U" else array


def decide(
    parts: Parts, first_layers: Mapping[str, FirstLayer] | None = None
) -> dict[str, Preparation]:
    """Return how each input is prepared, by its name; "" for an only one.

    Args:
        parts: The data; `scale=True` or `False` decides for all inputs that hold numbers.
        first_layers: What the model does first with each input; None: nothing special.
    """
    first_layers = first_layers or {}
    return {
        name: decide_one(X, parts.scale, first_layers.get(name, ""))
        for name, X in named(parts.train.X)
    }


def decide_one(X: Array, scale: Scale, first_layer: FirstLayer) -> Preparation:
    """Return how one input is prepared, see `decide`."""
    if X.dtype.kind not in "biuf":
        return "leave"
    if not scale:
        # Of a `Part` only ids that are one number to float32 are whole still; a lookup wants them.
        return "leave" if first_layer == "lookup" and X.dtype.kind in "iu" else "cast"
    if scale != "auto":
        return "standardise"
    if first_layer:
        return "leave"
    if X.dtype.kind == "b":
        return "cast"
    is_image = X.dtype == np.uint8 and X.ndim >= 3
    return "pixels" if is_image else "standardise"


def fitted(parts: Parts, how: Mapping[str, Preparation], train_X: Arrays) -> Scaling:
    """Return what prepares inputs in these ways, fitted on the rows that are trained on."""
    if parts.columns:
        return parts.fitted(train_X)
    by_name = {name: fitted_one(how[name], X) for name, X in named(train_X)}
    return Several(by_name) if isinstance(train_X, Mapping) else by_name[""]


def fitted_one(how: Preparation, X: Array) -> Scaling:
    """Return what prepares one input in a way, fitted on the rows that are trained on."""
    if how == "standardise":
        return scaler(X)
    if how == "pixels":
        return Pixels()
    return Scaler() if how == "cast" else AsTheyAre()


def in_words(
    parts: Parts, how: Mapping[str, Preparation], first_layers: Mapping[str, FirstLayer]
) -> str:
    """Say in one line what is done to the inputs; "" where all are standardised, or as asked."""
    if parts.columns or parts.scale != "auto" or set(how.values()) == {"standardise"}:
        return ""
    sentences = []
    for name, X in named(parts.train.X):
        if holds_text(X):
            words = "texts, left as they are"
        else:
            words = _IN_WORDS[how[name]]
            reason = _REASONS.get(first_layers.get(name, ""), "")
            words += f" ({reason})" if reason else ""
        sentences.append(f"{name}: {words}" if name else words)
    return f"inputs: {'; '.join(sentences)}"
