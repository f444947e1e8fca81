"""The one process that writes a search's trials to MLflow and to Optuna's storage, behind the
training.
"""

from tuning.tracking.writer.handle import Writer

__all__ = ["Writer"]
