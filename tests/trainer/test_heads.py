"""One small graph scores all networks of equal losses and metrics."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest
from cachetools import LRUCache

from tuning.trainer import heads
from tuning.trainer.train import train

RNG = np.random.default_rng(3)
X = RNG.normal(size=(70, 6)).astype("float32")
Y = X.sum(axis=1)


@pytest.fixture(autouse=True)
def no_heads(monkeypatch):
    monkeypatch.setattr(heads, "_heads", LRUCache(heads.KEPT_HEADS))


def net(loss="mse", layers=(4,), metrics=()):
    hidden = [keras.layers.Dense(units, "relu") for units in layers]
    model = keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(1)])
    model.compile("adam", loss, metrics=list(metrics))
    return model


def test_networks_of_any_depth_and_width_share_one_graph_for_their_losses():
    for layers in ([4], [9, 3], [2, 5, 8]):
        model = net(layers=layers, metrics=["mae"])
        train(model, X, Y, validation_data=(X[:20], Y[:20]), trainer="compiled")
    assert len(heads._heads) == 1


def test_another_loss_or_metric_has_a_graph_of_its_own():
    for model in (net(), net(loss="mae"), net(metrics=["mae"])):
        train(model, X, Y)
    assert len(heads._heads) == 3


def test_a_graph_for_losses_lives_as_long_as_it_is_kept():
    train(net(), X, Y)
    (head,) = heads._heads.values()
    alive = weakref.ref(head.model)
    del head
    gc.collect()
    assert alive() is not None


def test_graphs_for_losses_are_dropped_one_by_one_and_made_anew(monkeypatch):
    monkeypatch.setattr(heads, "_heads", LRUCache(2))
    for loss in ("mse", "mae", "huber"):
        train(net(loss), X, Y)
    assert len(heads._heads) == 2
    ours, theirs = net("mse"), net("mse")
    theirs.set_weights(ours.get_weights())
    history = train(ours, X, Y, shuffle=False)
    expected = theirs.fit(X, Y, shuffle=False, verbose=0).history
    assert history["loss"] == pytest.approx(expected["loss"], rel=5e-5)


def test_losses_are_computed_in_the_precision_of_the_network_whatever_the_policy_is():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        widths = (4, 1)
        hidden = [keras.layers.Dense(units, dtype="float32") for units in widths]
        model = keras.Sequential([keras.Input((6,), dtype="float32"), *hidden])
        model.compile("sgd", "mse")
        expected = model.evaluate(X, Y, verbose=0)
        history = train(model, X, Y, batch_size=len(X), trainer="compiled")
    finally:
        keras.config.set_dtype_policy("float32")
    assert len(heads._heads) == 1
    assert history["loss"] == pytest.approx([expected], rel=1e-5)
