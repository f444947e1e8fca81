"""How good predictions are: metrics, and the baselines they are compared with."""
