"""SLO files: YAML to objectives, alert policies and SLAs; or to problems, all of them at once.

    load([directory]) -> SloSet(slos, problems)

Law: what is loaded is exact (decimals and microseconds, no float), frozen, and revised by content. Refuses to
guess: unknown keys, missing units and percents are problems with a remedy. Knows nothing of Kafka or clocks.
"""

from pipeline.spec.build import parse
from pipeline.spec.files import Files, load, loaded, presets, read
from pipeline.spec.problems import Problem, SpecError
from pipeline.spec.slos import Composite, Sla, Slo, SloSet, Source

__all__ = [
    "Composite", "Files", "Problem", "Sla", "Slo", "SloSet", "Source", "SpecError", "load", "loaded", "parse",
    "presets", "read",
]  # fmt: skip
