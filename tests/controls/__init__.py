"""Controls against their oracles."""
