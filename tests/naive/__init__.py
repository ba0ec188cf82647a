"""Slow, obvious oracles: what the kernels and formulas must equal. Never fast, never shared with the product."""
