"""A trial or a winner trained again from its record, and compared with what the record says."""
