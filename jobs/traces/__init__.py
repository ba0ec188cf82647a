"""Recorded traces as InferenceEvents: files of four formats, and mappings that say what columns mean.

    file ──readers──► rows with line numbers ──mapping──► columns, or a reject with line, column and reason

Law: every row of a file is either an event or a reject; the same file gives the same events, ids included.
"""

from jobs.traces.loading import read_events
from jobs.traces.mapping import Mapping, MappingError, load_mapping
from jobs.traces.rows import Reject

__all__ = ["Mapping", "MappingError", "Reject", "load_mapping", "read_events"]
