"""Measurements: the demo, and speed as ratios within one run."""
