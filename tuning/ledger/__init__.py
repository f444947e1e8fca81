"""The durable truth about trials, and what is projected from it."""
