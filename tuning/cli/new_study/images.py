"""A new study of a folder of images: a CNN."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tuning.cli.new_study.kind import FITS_ITS_DATA, IS_COMPILED, Kind

N_IMAGES = 40
"""Samples of a class."""
SIDE = 16
"""Their height and width in pixels."""


def write_shapes(folder: Path, task: str) -> None:
    """Write grey PNG images of shapes, a subfolder a class: two, or three for "multiclass"."""
    from PIL import Image

    rng = np.random.default_rng(0)
    row, column = np.mgrid[:SIDE, :SIDE]
    classes = ("cross", "disc", "square") if task == "multiclass" else ("cross", "disc")
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(N_IMAGES):
            # A place and a size of its own, on noise.
            middle = rng.integers(6, SIDE - 6, 2)
            radius = rng.integers(3, 6)
            down, right = abs(row - middle[0]), abs(column - middle[1])
            shapes = {
                "cross": (np.minimum(down, right) < 1) & (np.maximum(down, right) <= radius),
                "disc": down**2 + right**2 <= radius**2,
                "square": np.maximum(down, right) <= radius,
            }
            pixels = rng.integers(0, 60, (SIDE, SIDE)) + 150 * shapes[name]
            file = folder / name / f"{number:02d}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(file)


IMAGES = Kind(
    tasks=("binary", "multiclass"),
    words={},
    write_samples=write_shapes,
    study='''\
"""A new study: say in one line what is searched, and on which images."""

from __future__ import annotations

from pathlib import Path

import keras

from tuning import Choice, Dataset, Float, ImageFolder, Int, $goal, Study

FOLDER = Path(__file__).parent / f"{Path(__file__).stem}-images"
"""Has a subfolder a class; put your own there."""


def build_model(
    n_blocks: int = 2, n_filters: int = 8, lr: float = 1e-2, input_shape=($side, $side, 1)
) -> keras.Model:
    """Return a compiled CNN: `n_blocks` of convolution and pooling, then $last_layer."""
    model = keras.Sequential([keras.layers.Input(input_shape)])
    model.add(keras.layers.RandomFlip("horizontal"))
    for block in range(n_blocks):
        n_maps = n_filters * 2**block
        model.add(keras.layers.Conv2D(n_maps, 3, padding="same", activation="relu"))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.GlobalMaxPooling2D())
    model.add(keras.layers.Dense($last_arguments))
$model_ends


def load_data() -> Dataset:
    """Return the images, decoded once; bytes are divided by 255 for you."""
    return ImageFolder(FOLDER, image_size=($side, $side), color="grayscale", name="$name")


$study_begins
    space={
        "n_blocks": Int(1, 3),
        "n_filters": Int(4, 16, log=True),
        "lr": Float(1e-3, 1e-1, log=True),
        "batch_size": Choice(8, 16, 32),
    },
$study_ends
'''.replace("$side", str(SIDE)),
    test="""\
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_${word}_doubles_its_filters_in_each_block(study, n_blocks):
    model = study.builder(n_blocks=n_blocks, n_filters=4)
    filters = [layer.filters for layer in model.layers if hasattr(layer, "filters")]
    assert filters == [4, 8, 16][:n_blocks]


"""
    + IS_COMPILED
    + FITS_ITS_DATA,
)
