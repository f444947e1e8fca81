"""What a search is of: the study, its space, its file."""
