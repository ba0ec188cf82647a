"""Oracle of scaling: how many replicas the load of the last minute alone needs, reckoned one by one."""

from collections.abc import Sequence


def least(loads: Sequence[float], waiting: float, rps: float) -> int:
    """Count replicas up until they bear a fifth more than came in a minute, and the queue within another."""
    asked = 1.2 * sum(loads) / len(loads) * 60 + waiting
    replicas = 0
    while replicas * rps * 60 < asked and replicas < 1_000:
        replicas += 1
    return replicas
