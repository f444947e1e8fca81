"""Builders of other libraries, as they are: KerasTuner's, Optuna's, SciKeras'."""
