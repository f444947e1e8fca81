"""`train`: what `model.fit` does, without Python in the loop over batches. Imports TensorFlow."""
