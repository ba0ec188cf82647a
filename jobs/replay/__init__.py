"""`burnline replay`: recompute a range of event time from the log, compare it with what is stored, swap if asked.

`source` reads the log, `shadow` folds it into rows of shadow tables, `comparison` is the SQL, `swapping` the order of
things, `command` talks to people.
"""
