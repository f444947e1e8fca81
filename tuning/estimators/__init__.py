"""`KerasClassifier` and `KerasRegressor` for scikit-learn. Imports TensorFlow."""
