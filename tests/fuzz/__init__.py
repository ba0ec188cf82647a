"""Hostile inputs: whatever comes, an answer with a reason, and no crash. What was found is kept under found/."""
