"""What is wrong with a trained network. Imports TensorFlow."""
