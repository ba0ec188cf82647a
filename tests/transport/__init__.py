"""The block transport and exactly-once steps; what needs a broker is marked."""
