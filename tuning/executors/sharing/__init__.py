"""How the searches of one cluster share its slots: what each says of itself, and its part."""
