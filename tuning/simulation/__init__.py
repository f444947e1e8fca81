"""Record trials once, replay engines on them with a simulated clock."""
