"""Records of inference.snapshots and slo.signals as what can be kept; or why they cannot be used.

Law: `read` gives columns that nothing is wrong with, or raises Unusable. A snapshot is named by its endpoint and its
time, a signal by its key and when it was decided; what comes twice is the same. Pure.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.foreign import TIME_END_US, Flaw, Unusable, decoded, far_away, not_finite, too_long
from pipeline.framing import SINGLE_OBJECT, Framing

SNAPSHOT, SIGNAL = "engine_snapshot", "control_signal"  #: schemas
FIGURES_MOST = 100  #: of inputs, and of details
NUMBERS = ("running", "waiting", "oldest_inflight_ms", "gpu_count", "gpu_hour_picousd", "finished", "output_tokens")


def read(schema: str, value: bytes, appended_us: int, framing: Framing = SINGLE_OBJECT) -> dict[str, Any]:
    """Decode one record that the broker took at `appended_us` (negative: it did not say).

    Raises: Unusable.
    """
    columns = decoded(schema, value, framing)
    texts = ((name, text) for name, text in columns.items() if isinstance(text, str))
    found = next((flaw for each in texts if (flaw := too_long(*each)) is not None), None)
    if (found := found or FLAWS[schema](columns, appended_us)) is not None:
        raise Unusable(found)
    return columns


def flaw_of_snapshot(columns: Mapping[str, Any], appended_us: int) -> Flaw | None:
    """Say what is wrong with a snapshot, if anything."""
    for field in ("endpoint_id", "service"):
        if not columns[field].strip():
            return Flaw("empty_field", f"{field} is empty", field)
    for field in NUMBERS:
        if columns[field] is not None and columns[field] < 0:
            return Flaw("negative", f"{field} is {columns[field]}; leave out what is not known", field)
    started_us = columns["started_at"]
    if started_us is not None and not 0 <= started_us < TIME_END_US:
        return Flaw("no_time", "started_at is before 1970 or past 2100: is it in microseconds?", "started_at")
    return far_away("snapshot_at", columns["snapshot_at"], appended_us) or not_finite({"kv_usage": columns["kv_usage"]})


def flaw_of_signal(columns: Mapping[str, Any], appended_us: int) -> Flaw | None:
    """Say what is wrong with a signal, if anything."""
    for field in ("name", "state"):  # of no service: of all of them, as a quota may be
        if not columns[field].strip():
            return Flaw("empty_field", f"{field} is empty", field)
    for field in ("inputs", "details"):
        if len(columns[field]) > FIGURES_MOST:
            return Flaw("too_many", f"{field} has more than {FIGURES_MOST} entries", field)
    if not columns["evaluated_at"] < columns["expires_at"] < TIME_END_US:
        return Flaw("no_time", "expires_at is not behind evaluated_at, or past 2100", "expires_at")
    if columns["watermark"] is not None and not 0 <= columns["watermark"] < TIME_END_US:
        return Flaw("no_time", "watermark is before 1970 or past 2100: is it in microseconds?", "watermark")
    figures = {"value": columns["value"], "confidence": columns["confidence"], **columns["inputs"]}
    return far_away("evaluated_at", columns["evaluated_at"], appended_us) or not_finite(figures)


FLAWS: Mapping[str, Callable[[Mapping[str, Any], int], Flaw | None]] = {
    SNAPSHOT: flaw_of_snapshot, SIGNAL: flaw_of_signal,
}  # fmt: skip
