"""How long tests wait for what happens at once.

A busy machine keeps no promise of a second: a test that fails there says nothing about the code.
So what is to happen at once has `SOON_S`, and what would be wrong is made to take longer. What is
to be quick is measured in processor time, and what depends on a limit has a clock of the test's.
"""

SOON_S = 20.0
