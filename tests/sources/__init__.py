"""Sources against servers that speak their protocol."""
