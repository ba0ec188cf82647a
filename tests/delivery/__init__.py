"""Tests of pipeline.delivery."""
