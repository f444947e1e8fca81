"""What a model does with its inputs, and how they are prepared for it."""
