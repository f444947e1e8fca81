"""How long each process may be silent, how long one answer may take, and what comes then."""
