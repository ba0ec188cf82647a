"""Tests of pipeline.sinks, against the real services."""
