"""`burnline frontier`: configurations of a model that nobody beats, as a table and a plot."""
