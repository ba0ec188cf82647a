"""Where schemas and readings come from, beside the topics."""
