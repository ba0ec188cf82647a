"""Run-to-completion commands over the pipeline: they import it and are never imported by it."""
