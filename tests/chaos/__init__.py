"""Faults under load, by real servers, real workers and readers that know nothing of them: `make chaos`."""
