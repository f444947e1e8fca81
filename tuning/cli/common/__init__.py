"""What the verbs of all rooms of the command line share."""
