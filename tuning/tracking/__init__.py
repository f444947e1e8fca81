"""Where runs are shown: MLflow, or memory in tests."""
