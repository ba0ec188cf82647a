"""`burnline report`: what was promised, kept and broken in a period, as HTML and Markdown that stand alone."""
