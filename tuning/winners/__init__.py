"""A winner in use: its model, its parameters, what it predicts, its card."""
