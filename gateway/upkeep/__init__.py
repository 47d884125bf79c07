"""Loops that bring state to rest: witnessing, comparing logs, telling of erasures."""
