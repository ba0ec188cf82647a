"""A closed loop: a simulated service whose replicas and shedding a controller orders, from what it could have measured.

    load, seed ──► arrivals ──► [shed?] ──► queue ──► batches of replicas ──► verdicts by class ─┐
                                  ▲                       ▲                                      │
                                  └────── Orders ◄── controller ◄── Seen (never of the future) ◄─┘

Law: run() is a pure function of its arguments, so two controllers with the same seed meet the same requests.
"""

from jobs.loop.loads import LOADS, daily, noisy, ramp, steady, surge
from jobs.loop.plant import CLASSES, ClassSpec, PlantSpec, Rehearsed, run
from jobs.loop.seen import Controller, History, Orders, Seen

__all__ = [
    "CLASSES", "LOADS", "ClassSpec", "Controller", "History", "Orders", "PlantSpec", "Rehearsed", "Seen", "daily",
    "noisy", "ramp", "run", "steady", "surge",
]  # fmt: skip
