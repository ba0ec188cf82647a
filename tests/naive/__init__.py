"""Slow, obvious oracles: what kernels and formulas must equal. Never fast, never shared with the product."""
