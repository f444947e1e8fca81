"""A new study of short texts: the model itself makes words of them."""

from __future__ import annotations

from tuning.cli.new_study.kind import IS_COMPILED, Kind

TEXT = Kind(
    tasks=("binary", "multiclass"),
    words={
        "binary": {
            "opinions": '("late wet lost broken", "quick kind fine solid")',
            "meaning": "0 stands for a complaint, 1 for praise",
        },
        "multiclass": {
            "opinions": '("late wet lost broken", "plain usual normal", "quick kind fine solid")',
            "meaning": "0 stands for a complaint, 1 for neither, 2 for praise",
        },
    },
    study='''\
"""A new study: say in one line what is searched, and on which texts."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Int, $goal, Study

OPINIONS = $opinions


def build_model(n_words: int = 500, n_dims: int = 8, lr: float = 1e-2) -> keras.Model:
    """Return a compiled model of texts: mean of their words' vectors, then $last_layer.

    Its vocabulary are the `n_words` most frequent words of the rows that it is trained on.
    """
    model = keras.Sequential([keras.layers.Input((), dtype="string")])
    model.add(keras.layers.TextVectorization(n_words, output_sequence_length=20))
    model.add(keras.layers.Embedding(n_words, n_dims))
    model.add(keras.layers.GlobalAveragePooling1D())
    model.add(keras.layers.Dense($last_arguments))
$model_ends


def load_data() -> Dataset:
    """Return texts and their class; replace this by your own.

    $meaning.
    """
    rng = np.random.default_rng(0)
    y = np.arange(300) % len(OPINIONS)
    texts = []
    for opinion in y:
        thing = rng.choice(["the parcel", "my order", "the driver", "this shop"])
        first, second = rng.choice(OPINIONS[opinion].split(), 2)
        texts.append(f"{thing} was {first} and {second}")
    return Dataset(name="$name", X=np.array(texts), y=y, task="$task")


$study_begins
    space={
        "n_words": Choice(20, 100, 500),
        "n_dims": Int(2, 32, log=True),
        "lr": Float(1e-3, 1e-1, log=True),
        "batch_size": Choice(16, 32),
    },
$study_ends
''',
    test=IS_COMPILED
    + """\
def test_${word}_takes_texts_as_they_are(study):
    model = study.builder()
    assert model.input_shape == (None,)
    assert model.output_shape == (None, study.data().n_outputs)
""",
)
