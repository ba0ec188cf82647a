"""Whole runs of the pure core from a seed; a failing seed prints the command that replays it."""
