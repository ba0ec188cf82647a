"""Rehearsals: tests of SLOs. A written stream goes through the real judge, and what it tells is compared.

    read(text) -> Suite        play(rehearsal) -> Played        failures(rehearsal, played) -> what differs

Pure: the judge has no clock, so days of stream take seconds. Nothing here counts or judges: that is
`pipeline.judgement`, the same that runs in a worker.
"""

from pipeline.rehearsal.comparing import failures
from pipeline.rehearsal.playing import Played, Told, play
from pipeline.rehearsal.reading import Rehearsal, Suite, read

__all__ = ["Played", "Rehearsal", "Suite", "Told", "failures", "play", "read"]
