"""The worker's own port: metrics and health."""
