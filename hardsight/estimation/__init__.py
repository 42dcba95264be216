"""The measurement itself: plan the trainings, run them, and assemble the result."""
