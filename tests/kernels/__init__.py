"""Kernels against their oracles."""
