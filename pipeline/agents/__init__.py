"""Agents: each joins a pure fold, a ledger and the transport into one step. Shells, without rules of their own."""
