"""Measurements: repeatable, ratios within one run, CPU seconds beside wall time."""
