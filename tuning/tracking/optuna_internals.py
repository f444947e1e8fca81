"""What we use of Optuna's storage that it does not promise to keep.

Checked with Optuna 5.0.0; `tests/tracking/test_optuna_internals.py` fails where Optuna drops it.
"""

from __future__ import annotations

CHECKED_WITH = "5.0.0"

CONSTRAINTS = "constraints"
"""The system attribute in which a trial's constraints are stored (above 0: violated).

Those of a study are given to `create_trial` by name; this one is kept as earlier searches have it.
"""
