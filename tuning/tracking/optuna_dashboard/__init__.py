"""What Optuna's dashboard is shown of the storage."""
