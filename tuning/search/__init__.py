"""One search from its definition to its winner: the room that knows every other."""
