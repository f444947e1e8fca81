"""What runs studies unattended: schedules."""
