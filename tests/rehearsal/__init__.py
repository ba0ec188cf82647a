"""Tests of pipeline.rehearsal."""
