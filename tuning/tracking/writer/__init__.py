"""The one process that writes a search's trials to MLflow and Optuna's storage, behind training."""

from tuning.tracking.writer.handle import Writer

__all__ = ["Writer"]
