"""What controls publish as gauges of /metrics, for scalers that ask Prometheus.

Law: what is expired or unknown, or has no value, has no series: it is never 0. At most so many signals have one, and as
long as the same are in force they are the same: what scalers act on first, what there is of each tenant last. Pure.
"""

from collections.abc import Iterable, Iterator
from heapq import nsmallest

from pipeline.controls.signal import NAMES, Signal
from pipeline.metrics import Reading


def readings(signals: Iterable[Signal], now_us: int, most: int) -> Iterator[Reading]:
    """Yield the value of each signal in force, how sure it is, and when it was decided and expires."""
    found: dict[str, list[tuple[float, Signal]]] = {name: [] for name in NAMES}
    for signal in signals:
        if signal.value is not None and signal.is_known and not signal.is_expired(now_us):
            found[signal.name].append((signal.value, signal))
    left = most
    for several in found.values():
        shown = several if len(several) <= left else nsmallest(left, several, key=_place)
        left -= len(shown)
        for value, signal in shown:
            yield from _of(signal, value)
    everything = sum(map(len, found.values()))
    yield Reading("burnline_signal_series_left_out", everything - (most - left))


def _place(each: tuple[float, Signal]) -> tuple[str, str, str]:
    """Where it stands among others of its name; its key would say so too, and is written anew each time."""
    return each[1].service, each[1].model, each[1].scope


def _of(signal: Signal, value: float) -> Iterator[Reading]:
    labels = (signal.service, signal.model, signal.name, signal.scope)
    yield Reading("burnline_signal_value", value, labels)
    if signal.confidence is not None:
        yield Reading("burnline_signal_confidence_ratio", signal.confidence, labels)
    yield Reading("burnline_signal_evaluated_timestamp_seconds", signal.evaluated_at_us / 1e6, labels)
    yield Reading("burnline_signal_expiry_timestamp_seconds", signal.expires_at_us / 1e6, labels)
