"""What `tuning show` and `tuning list --searches` print: a search on a terminal, from its files."""
