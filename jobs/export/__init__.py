"""`burnline export-trace`: events that are kept whole as a trace that benchmarks and planners replay."""
