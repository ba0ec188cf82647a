"""Sinks: where the pipeline's output goes. Each is an edge: it knows one outside system and no other."""
