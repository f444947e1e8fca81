"""A `HyperModel.fit` in our training: the rows and settings that it chooses for one point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tuning.data.arrays import Arrays, each
from tuning.study.builder_arguments import Builder
from tuning.trainer.rows import Rows, as_fit_takes, by_name


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What one fit is trained with.

    Attributes:
        rows: To train on.
        epochs, batch_size, shuffle, class_weight: As in `model.fit`.
        callbacks: Of the `HyperModel`'s own.
        notes: What the user should know.
        own_fit: Why the builder's own `fit` does the training, in words; "": ours does.
    """

    rows: Rows
    epochs: int
    batch_size: int
    shuffle: bool = True
    class_weight: Mapping[int, float] | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    notes: tuple[str, ...] = ()
    own_fit: str = ""


def chosen_by(
    builder: Builder,
    model: keras.Model,
    usual: Chosen,
    validation: Rows | None,
    *,
    own_fit: str = "",
) -> Chosen:
    """Return what the builder's own `fit` makes of the usual training; without one that itself.

    Args:
        builder: The study's, which has just built the model.
        model: Compiled.
        usual: What the study says.
        validation: The rows that are scored after each epoch.
        own_fit: Why its `fit` must be carried out, where that is known: it is not read then.
    """
    read_fit = getattr(builder, "read_fit", None)
    if read_fit is None:
        return usual
    if own_fit:
        return replace(usual, own_fit=own_fit)
    rows = (as_fit_takes(usual.rows.X), as_fit_takes(usual.rows.y))
    held_out = None
    if validation is not None:
        held_out = (as_fit_takes(validation.X), as_fit_takes(validation.y))
    call = read_fit(model, rows, epochs=usual.epochs, callbacks=[], validation_data=held_out)
    if call.own_fit:  # at the points at which its space was looked for it was another way
        return replace(usual, own_fit=call.own_fit)
    settings: dict[str, Any] = dict(call.settings)
    has_changed_rows = "x, y" in call.changed
    notes: tuple[str, ...] = ()
    if has_changed_rows:
        notes = (
            f"{builder.__name__}.fit trains on rows that it has changed itself; "
            "validation and predictions get them unchanged",
        )
    chosen_rows = usual.rows
    if has_changed_rows:
        X = _as_arrays(call.x, usual.rows.X)
        chosen_rows = Rows(X, _as_arrays(call.y, usual.rows.y), usual.rows.weight)
    return Chosen(
        rows=chosen_rows,
        epochs=min(int(settings.get("epochs") or usual.epochs), usual.epochs),
        batch_size=int(settings.get("batch_size") or usual.batch_size),
        shuffle=bool(settings.get("shuffle", True)),
        class_weight=settings.get("class_weight"),
        callbacks=list(settings.get("callbacks") or ()),
        notes=notes,
    )


def _as_arrays(given: Any, usual: Arrays) -> Any:
    """Return what a `fit` has made of rows as arrays: one, or several as the usual ones are."""
    return each(np.asarray, by_name(given) if isinstance(usual, Mapping) else given)
