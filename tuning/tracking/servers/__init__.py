"""What databases behind a network ask for besides SQLite files: turns, time limits, places."""
