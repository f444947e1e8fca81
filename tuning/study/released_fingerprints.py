"""`RELEASED`: the fingerprints of this package's own builders and data functions."""

from __future__ import annotations

from collections.abc import Mapping

RELEASED: Mapping[str, str] = {
    # Release 0.1.
    "tuning.builders.functions.branin": "317492da504dc1ac",
    "tuning.builders.functions.hartmann6": "760c4a9a156b0863",
    "tuning.builders.functions.noisy_branin": "9cc70675e57b5793",
    "tuning.builders.mlp.build_model": "d3ff356f1567d22d",
    "tuning.builders.perceptron.build_perceptron": "7226981b72a205b4",
    "tuning.builders.wide_deep.build_wide_deep": "ada1080ad4dff95b",
    "tuning.data.california.california_housing": "4ecbe2cd67f04c27",
    "tuning.data.images.faces": "915ebe0ccec87930",
    "tuning.data.images.mnist": "8d783ecfb9075451",
    "tuning.data.images.mnist_5k": "482916a4700e0f3d",
    "tuning.data.tables.table.Table": "c6f78793d1adbd87",
    "tuning.data.tables.titanic.survived": "5a7b539e472801c7",
    "tuning.data.toy.blobs": "c059955bd72fbf09",
    "tuning.data.toy.breast_cancer": "8a001d734f900130",
    "tuning.data.toy.circles": "986ae62e857e125a",
    "tuning.data.toy.digits": "f7a63ee36568ba46",
    "tuning.data.toy.iris": "603557584b47eb9c",
    "tuning.data.toy.iris_pair": "2d153c1f67e34a5d",
    "tuning.data.toy.moons": "79ed71c59b944603",
    "tuning.data.toy.multi_output": "304617f72a1fb407",
    "tuning.data.toy.multilabel": "693e134bd9f6fb74",
    "tuning.data.toy.wine": "db4e03db5ea3758b",
    "tuning.trials.functions.no_data": "8eef2012e60a5a16",
}
"""`module.name` → 16 hex digits, as `fingerprint` of the release that brought a function gave them.

A search is resumed only where its builder and data have the same fingerprint. The source of our own
files changes with every tidying, what they return does not; so these are known by this table, and
not by their source.

**Whoever changes what one of these functions returns gives it a new digest** (any 16 hex digits
that are not in use), so that old results are never mixed with new ones. A new builder or data
function gets a row of its own; a function that moves to another module takes its digest along.
"""
