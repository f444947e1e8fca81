"""How long tests wait for what happens at once.

A busy machine keeps no promise of a second: a test that fails there says nothing about the code.
So what is to happen at once has `SOON_S`, and what would be wrong is made to take longer. What is
to be quick is measured in processor time, and what depends on a limit has a clock of the test's.
"""

from hypothesis import HealthCheck

SOON_S = 20.0

SLOW_S = 600.0
"""For a test that is marked as slow: two minutes alone are ten where others use the machine."""

UNHURRIED = (HealthCheck.too_slow,)
"""Checks of Hypothesis' that a busy machine fails: one for the seconds that drawing examples takes.
"""
