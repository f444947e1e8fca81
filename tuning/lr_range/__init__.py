"""Learning-rate range tests: sweep, analysis, result, picture."""
