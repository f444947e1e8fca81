"""What is said of a winner: by how much it beats a baseline, and from when on it says yes."""
