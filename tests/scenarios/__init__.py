"""Scenarios: streams in files, read and delivered to the judge."""
