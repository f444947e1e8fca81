"""Keras' `fit` in the tests' own processes, without what costs seconds and changes no figure.

Workers are forked from a forkserver that has Keras as it is.
"""

from __future__ import annotations

import sys


def make_fit_quick() -> None:
    """Keep Keras from XLA, and from graphs that only slice rows.

    Does nothing where Keras has not been imported.
    """
    if "keras.src.trainers.trainer" not in sys.modules:
        return
    from keras.src.trainers import trainer
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    # The same arithmetic, a second sooner for each model.
    trainer.model_supports_jit = lambda model: False
    if ArrayDataAdapter.get_tf_dataset is not sliced_batches:
        ArrayDataAdapter.keras_dataset = ArrayDataAdapter.get_tf_dataset
        ArrayDataAdapter.get_tf_dataset = sliced_batches


def sliced_batches(adapter):
    """Return the data set of the batches that Keras would make, by one operation of tf.data.

    Keras gathers its batches in four graphs, which cost 40 ms for each data set and 12 ms more for
    each epoch. Rows that are shuffled or of another kind than arrays are left to it.
    """
    import numpy as np
    import tensorflow as tf
    from keras.src import tree
    from keras.src.trainers.data_adapters import array_slicing

    rows = array_slicing.convert_to_sliceable(adapter._inputs, target_backend="tensorflow")
    arrays = all(isinstance(leaf, np.ndarray | tf.Tensor) for leaf in tree.flatten(rows))
    if adapter._shuffle or not arrays:
        return adapter.keras_dataset()

    dataset = tf.data.Dataset.from_tensor_slices(tree.lists_to_tuples(rows))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # A batch's rows are known to the graph where all batches have as many.
    equal = not adapter.has_partial_batch
    return dataset.batch(adapter.batch_size, drop_remainder=equal).with_options(options)
