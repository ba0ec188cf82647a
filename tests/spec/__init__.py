"""SLO files: reading, rules, revisions, arithmetic of detection."""
