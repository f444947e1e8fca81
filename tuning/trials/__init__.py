"""What a worker does for one proposal. Imports TensorFlow, but for `jobs`."""
