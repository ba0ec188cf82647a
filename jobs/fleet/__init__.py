"""A seeded fleet of inference services: what it would report, and the exact truth about it.

    spec, seed ──► Fleet.events(start_us, end_us) ──► EventColumns ──► encoder, Kafka
                                                           └───────► Truth: counts, verdicts, latencies

Law: events(a, c) == events(a, b) + events(b, c) for every a <= b <= c, bit for bit, on one kind of processor.
Pure: no clock, no I/O, no randomness but the seed's.
"""

from jobs.fleet.fleet import Fleet
from jobs.fleet.incidents import Incident, Scenario, ScenarioError, load_scenario
from jobs.fleet.load import FleetSpec
from jobs.fleet.truth import Truth

__all__ = ["Fleet", "FleetSpec", "Incident", "Scenario", "ScenarioError", "Truth", "load_scenario"]
