"""Playing: a stream through the real judge, as a worker's blocks of counts bring it.

Pure, and the judge's own law makes it simple: the same blocks give the same judgements, however they are cut.
So a stream that is heard at once is one block, but for cuts where its status is asked for; what is late or
silent comes in blocks of BLOCK_S, as it would.

    watermark = newest event time - grace, so the status at second t is read when t + grace has come
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.alerts import Kind
from pipeline.judgement import Judgement, JudgeSpec
from pipeline.notices import status_columns
from pipeline.rehearsal.reading import Rehearsal
from pipeline.rehearsal.streams import COUNTS, Stream

BLOCK_S = 10
SILENCE_S = 1_800  #: for so long a silence is played block by block; then nothing comes of it but more of the same
SECOND_US = 1_000_000
SEEN = ("state", "severity", *COUNTS, "compliance_ratio", "budget_remaining_ratio", "coverage_ratio")


@dataclass(frozen=True)
class Told:
    """One alert event."""

    at_s: int
    event: str
    severity: str
    kind: str
    long_burn_rate: float | None
    short_burn_rate: float | None


@dataclass(frozen=True)
class Seen:
    """The judgement at one second."""

    at_s: int
    state: str
    severity: str
    good: int
    bad: int
    excluded: int
    compliance_ratio: float | None
    budget_remaining_ratio: float | None
    coverage_ratio: float
    burn_rates: tuple[tuple[int, float | None], ...]  # window in seconds -> burn rate


@dataclass(frozen=True)
class Played:
    """All that came of a stream."""

    told: tuple[Told, ...]
    seen: tuple[Seen, ...]


def play(rehearsal: Rehearsal) -> Played:
    """Judge a rehearsal's stream, second by second, from before its history to its end."""
    stream, composed = rehearsal.stream, rehearsal.composed
    spec = JudgeSpec((rehearsal.watched,)) if composed is None else JudgeSpec((), (composed,))
    grace_s = -(-spec.grace_us // SECOND_US)
    judgement = Judgement(spec)
    moments = sorted({status.at_s for status in rehearsal.statuses})
    seen: dict[int, Seen] = {}
    start = stream.first
    for end in _cuts(stream, moments, grace_s):
        judgement.observe(_block(rehearsal, start, end))
        judgement.judge()
        if end - grace_s in moments:
            seen[end - grace_s] = _seen(rehearsal, judgement, end - grace_s)
        start = end
    ours = [each for each in judgement.told if each.kind is not Kind.NO_DATA]
    ours.sort(key=lambda each: (each.reading.second, each.kind))
    return Played(tuple(_told(each, rehearsal.begins_s) for each in ours), tuple(seen[at] for at in moments))


def _cuts(stream: Stream, moments: list[int], grace_s: int) -> list[int]:
    """Return where blocks end; the last is so late that everything is judged."""
    last = max(stream.end, int(stream.heard_at.max(initial=0)) + 1) + grace_s
    cuts = {last, *(at + grace_s for at in moments)}
    if not stream.is_prompt:
        cuts |= {0, *range(BLOCK_S, last, BLOCK_S)}
    for start, end in _silences(stream, last):
        known = min(start + SILENCE_S, end)
        cuts |= {start, end, *range(start + BLOCK_S, known, BLOCK_S), *range(known, end, SILENCE_S)}
    return sorted(cut for cut in cuts if cut > stream.first)


def _silences(stream: Stream, last: int) -> list[tuple[int, int]]:
    """Return where nobody reports; a silence that the stream ends in goes on."""
    heard = np.concatenate([[True], stream.is_heard, [bool(stream.is_heard[-1:].all())]])
    edges = (np.flatnonzero(np.diff(heard)) + stream.first).tolist()
    return list(zip(edges[::2], [*edges[1::2], last], strict=False))


def _block(rehearsal: Rehearsal, start: int, end: int) -> dict[str, Any]:
    """Make the block of what is heard in [start, end)."""
    stream, begins_s, counted = rehearsal.stream, rehearsal.begins_s, rehearsal.counted
    chosen = [each.arrivals(start, end) for _, each in counted]
    at = stream.first + np.concatenate(chosen)
    newest, newly = _heard(stream, start, end)
    columns = {
        name: np.concatenate([getattr(each, name)[part] for (_, each), part in zip(counted, chosen, strict=True)])
        for name in COUNTS
    }
    return {
        "source_topic": "inference.events", "source_partition": 0, "source_partitions": 1,
        "first_offset": 0, "next_offset": 0, "part": 0, "parts": 1,
        "max_event_time": None if newest is None else (begins_s + newest) * SECOND_US,
        "idle_us": 0 if newest is not None else (end - _last_heard(stream, end)) * SECOND_US,
        "flushed_at": (begins_s + end) * SECOND_US,
        "measured_slices": np.unique((begins_s + np.concatenate([newly, at])) // 10),
        "slos": [each.name for each, _ in counted], "revisions": [each.indicator_revision for each, _ in counted],
        "instances": [""] * len(counted), "instance_index": np.repeat(np.arange(len(counted)), list(map(len, chosen))),
        "slice_start_s": begins_s + at, **columns,
        "exemplar_instances": np.zeros(0, np.int64), "exemplar_trace_ids": [],
    }  # fmt: skip


def _heard(stream: Stream, start: int, end: int) -> tuple[int | None, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return how far event time is known, and the seconds of [start, end) in which anybody reports.

    After the end of the stream others go on reporting, so that its last seconds are judged.
    """
    inside = slice(max(start - stream.first, 0), max(end - stream.first, 0))
    newly = stream.first + inside.start + np.flatnonzero(stream.is_heard[inside])
    if end > stream.end and stream.is_heard[-1]:
        return end, newly
    return (int(newly[-1]) + 1 if len(newly) else None), newly


def _last_heard(stream: Stream, end: int) -> int:
    heard = np.flatnonzero(stream.is_heard[: max(end - stream.first, 0)])
    return stream.first + (int(heard[-1]) + 1 if len(heard) else 0)


def _told(told: Any, begins_s: int) -> Told:
    watched, reading = told.watched, told.reading
    pair = watched.policy.pairs[told.pair]
    burns = (reading.burn(watched, reading.spans_s.index(us // SECOND_US)) for us in (pair.long_us, pair.short_us))
    return Told(reading.second - begins_s, told.notice.name, told.alert.severity.name, told.kind.name, *burns)


def _seen(rehearsal: Rehearsal, judgement: Judgement, at_s: int) -> Seen:
    columns = _status(rehearsal, judgement)
    if columns is None or judgement.judged_s is None:
        return Seen(at_s, "OK", "NONE", 0, 0, 0, None, None, 0.0, ())
    burns = zip(columns["windows_s"], columns["windows_burn_rate"], strict=True)
    return Seen(at_s=at_s, **{name: columns[name] for name in SEEN}, burn_rates=tuple(burns))


def _status(rehearsal: Rehearsal, judgement: Judgement) -> dict[str, Any] | None:
    """Columns of the status that a worker would write; None: there is nothing to judge yet."""
    instances, composed, watched = judgement.instances, rehearsal.composed, rehearsal.watched
    if composed is not None and watched.objective.timeslices is None:
        return judgement.composites.status(composed, judgement.coverage, 0)
    row = instances.rows.get(instances.key_of(watched.objective.name))
    if row is None:
        return None
    return status_columns(watched, "", instances.known[row].alert, instances.reading(row, judgement.coverage), 0)
