"""The devices of this box: which there are, which slots they make, who holds them."""
