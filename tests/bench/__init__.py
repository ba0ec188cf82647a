"""Benchmarks: `python -m tests.bench`. Real servers, real workers; figures are never asserted, results always are."""
