"""Controls: what to do about it, derived from the same counts. Published for others to act on; nothing here acts."""
