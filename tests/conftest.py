"""Shared by every test: the hypothesis profile and the real servers."""

from hypothesis import settings

settings.register_profile("burnline", deadline=None)  # the first call of a kernel compiles it
settings.load_profile("burnline")
