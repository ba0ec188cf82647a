"""`burnline drain-dead-letters`: dead letters go back into inference.events once they can be read.

`letters` says what becomes of a letter, `feeding` moves them, `command` talks to people.
"""
