"""The closed loop and what it proves."""
