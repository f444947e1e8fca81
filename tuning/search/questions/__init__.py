"""Questions to workers, which are no trials; and what their errors mean for the run."""
