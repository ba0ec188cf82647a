"""The contracts: golden bytes of every released version, both ways."""
