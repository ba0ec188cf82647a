"""Workers of this folder share compiled kernels."""

from tests.compiled import compiled_once

__all__ = ["compiled_once"]
