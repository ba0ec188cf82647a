"""The commands of `burnline`: each parses, calls, prints. Nothing is computed here."""
