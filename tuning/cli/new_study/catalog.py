"""The kinds of study that `tuning new --kind` knows."""

from __future__ import annotations

from tuning.cli.new_study.images import IMAGES
from tuning.cli.new_study.keras_tuner import KERAS_TUNER
from tuning.cli.new_study.kind import Kind
from tuning.cli.new_study.series import SERIES
from tuning.cli.new_study.table import TABLE
from tuning.cli.new_study.text import TEXT
from tuning.cli.new_study.two_inputs import TWO_INPUTS

KINDS: dict[str, Kind] = {
    "table": TABLE,
    "images": IMAGES,
    "text": TEXT,
    "series": SERIES,
    "two-inputs": TWO_INPUTS,
    "keras-tuner": KERAS_TUNER,
}
