"""Jobs: the fleet, traces, and both against a real Kafka."""
