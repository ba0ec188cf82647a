"""Delivery: alerts to where people and machines act."""
