"""Mirrors pipeline/ and jobs/. Oracles live in tests/naive, real servers come from tests/conftest.py."""
