"""The result of a measurement, its file, recommended actions and a reviewer's decisions."""
