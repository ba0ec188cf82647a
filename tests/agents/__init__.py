"""Tests of pipeline.agents: the shells, against the real servers."""
