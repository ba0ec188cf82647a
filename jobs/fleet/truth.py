"""The exact truth about events, by plain numpy: counts per series and slice, verdicts per SLO, latencies.

Pure but for `save`. Shares the tables of pipeline.sli and no code with the kernels, so it can judge them.
Law: good + bad + excluded of an instance == the events its selector matches, weights included, but of sums.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoding import NULL, EventColumns, Words
from pipeline.series import BASE_LABELS, LABELS, PRIORITY_CLASSES, label_text
from pipeline.sli import (
    BETWEEN_TOKENS,
    FAILURE_KINDS,
    FIELD_OF,
    METRICS,
    OBJECTIVES,
    OUTCOMES,
    SUMS,
    VANTAGES,
    VERDICTS,
    Case,
    Kind,
    Verdict,
    case_of,
)  # fmt: skip
from pipeline.slo import Accepted, Objective
from schemas import avro_text

SLICE_US, SECOND_US = 10_000_000, 1_000_000
COUNTERS = (*(case.name.lower() for case in Case), "retries", "cold_starts", "input_tokens", "output_tokens",
            "cost_picousd", "gpu_us")  # fmt: skip
LATENCIES = ("e2e_us", "ttft_us", "tpot_us")
_DEFAULTS = {f["name"]: f.get("default") for f in json.loads(avro_text("inference_event"))["fields"]}

Ints = NDArray[np.int64]


def _case_table() -> NDArray[np.int64]:
    """Case by outcome, failure kind, whether the status is 5xx, whether the priority is below 0."""
    table = np.zeros((len(OUTCOMES), len(FAILURE_KINDS), 2, 2), np.int64)
    for o, f, failed, low in product(range(len(OUTCOMES)), range(len(FAILURE_KINDS)), (0, 1), (0, 1)):
        table[o, f, failed, low] = case_of(OUTCOMES[o], FAILURE_KINDS[f], 500 if failed else 200, -low)
    return table


_CASES = _case_table()
_VERDICTS = np.array([VERDICTS[case] for case in Case])  # case x kind


@dataclass
class Sums:
    """Integer vectors by integer key, added up."""

    width: int
    _keys: list[Ints] = field(default_factory=list)
    _values: list[Ints] = field(default_factory=list)

    def add(self, keys: Ints, values: Sequence[Ints]) -> None:
        """Add values[j][i] to column j of keys[i]. Sums stay below 2^53 per call, where floats are exact."""
        distinct, where = np.unique(keys, return_inverse=True)
        sums = [np.bincount(where, weights=v, minlength=len(distinct)).astype(np.int64) for v in values]
        self._keys.append(distinct)
        self._values.append(np.stack(sums, axis=1))
        if len(self._keys) > 256:
            self.merge()

    def merge(self) -> tuple[Ints, NDArray[np.int64]]:
        """Return sorted keys (key,) and their sums (key, width)."""
        if not self._keys:
            return np.zeros(0, np.int64), np.zeros((0, self.width), np.int64)
        keys, where = np.unique(np.concatenate(self._keys), return_inverse=True)
        sums = np.zeros((len(keys), self.width), np.int64)
        np.add.at(sums, where, np.concatenate(self._values))
        self._keys, self._values = [keys], [sums]
        return keys, sums


@dataclass
class Truth:
    """Takes events, in any order and any parts; knows everything about them at the end."""

    objectives: Sequence[Objective] = ()
    latencies: bool = True
    events: int = 0
    series: dict[tuple[str, ...], int] = field(default_factory=dict)
    instances: dict[tuple[str, str], int] = field(default_factory=dict)  # (slo, labels) -> id
    _slices: Sums = field(default_factory=lambda: Sums(len(COUNTERS)))
    _verdicts: Sums = field(default_factory=lambda: Sums(3))
    _values: dict[str, list[tuple[Ints, Any]]] = field(default_factory=lambda: {n: [] for n in LATENCIES})

    def add(self, events: EventColumns) -> None:
        """Count events."""
        if not len(events):
            return
        self.events += len(events)
        numbers = _Numbers(events)
        names, ids = _ids(self.series, [label_codes(events, name) for name in BASE_LABELS])
        self.series = names
        cell = (ids << 32) | (numbers.completed_at // SLICE_US)
        w = numbers.weight
        counters = [w * (numbers.case == case) for case in Case]
        counters += [w * (numbers.attempt > 1), w * numbers.cold_start]
        for name in ("input_tokens", "output_tokens", "cost_picousd", "gpu_us"):
            value = getattr(numbers, name)
            counters.append(w * np.where(value == NULL, 0, value))
        self._slices.add(cell, counters)
        if self.latencies:
            self._keep_latencies(numbers, cell)
        for objective in self.objectives:
            self._judge(objective, events, numbers)

    def _keep_latencies(self, numbers: "_Numbers", cell: Ints) -> None:
        for name, kind in zip(LATENCIES, (Kind.E2E, Kind.TTFT, Kind.TPOT), strict=True):
            decides = np.isin(_VERDICTS[numbers.case, kind], (Verdict.COMPARE, Verdict.AWAITED))
            shown = np.repeat(
                np.flatnonzero(decides & numbers.known(kind)), numbers.weight[decides & numbers.known(kind)]
            )
            values = (
                numbers.value(kind)[shown] / numbers.scale(kind)[shown]
                if kind is Kind.TPOT
                else numbers.value(kind)[shown]
            )
            self._values[name].append((cell[shown], values))

    def _judge(self, objective: Objective, events: EventColumns, numbers: "_Numbers") -> None:
        indicator = objective.indicator
        rows = np.flatnonzero(_selected(objective, events, numbers))
        if not len(rows):
            return
        names = indicator.group_by
        ids = _instance_ids(self.instances, objective.name, names, [label_codes(events, n) for n in names], rows)
        w = numbers.weight[rows]
        counted = [w * part[rows] for part in _counted(objective, numbers)]
        self._verdicts.add((ids << 36) | (numbers.completed_at[rows] // SECOND_US), counted)

    def slices(self) -> dict[tuple[tuple[str, ...], int], dict[str, int]]:
        """(values of BASE_LABELS, start of the slice in us) -> counters."""
        names = list(self.series)
        keys, sums = self._slices.merge()
        return {
            (names[key >> 32], (key & 0xFFFFFFFF) * SLICE_US): dict(zip(COUNTERS, row, strict=True))
            for key, row in zip(keys.tolist(), sums.tolist(), strict=True)
        }

    def verdicts(self) -> dict[tuple[str, str, int], tuple[int, int, int]]:
        """(SLO, instance labels as label_text writes them, second in us) -> good, bad, excluded."""
        names = list(self.instances)
        keys, sums = self._verdicts.merge()
        return {
            (*names[key >> 36], (key & 0xFFFFFFFFF) * SECOND_US): (good, bad, excluded)
            for key, (good, bad, excluded) in zip(keys.tolist(), sums.tolist(), strict=True)
        }

    def totals(self) -> dict[str, dict[str, dict[str, int]]]:
        """SLO -> instance labels -> good, bad, excluded over all time."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for (slo, labels, _), counted in self.verdicts().items():
            sums = found.setdefault(slo, {}).setdefault(labels, {"good": 0, "bad": 0, "excluded": 0})
            for name, count in zip(sums, counted, strict=True):
                sums[name] += count
        return found

    def sorted_latencies(self, metric: str) -> tuple[NDArray[np.int32], Ints, NDArray[Any]]:
        """Return series, start of the slice in us, and value; sorted by all three in that order."""
        parts = self._values[metric]
        cells = np.concatenate([c for c, _ in parts]) if parts else np.zeros(0, np.int64)
        values = np.concatenate([v for _, v in parts]) if parts else np.zeros(0, np.int64)
        order = np.lexsort((values, cells))
        cells = cells[order]
        return (cells >> 32).astype(np.int32), (cells & 0xFFFFFFFF) * SLICE_US, values[order]

    def save(self, directory: Path) -> None:
        """Write truth.json (names, totals), slices.npz, verdicts.npz and, when kept, latencies.npz."""
        directory.mkdir(parents=True, exist_ok=True)
        keys, sums = self._slices.merge()
        np.savez(
            directory / "slices.npz",
            series=keys >> 32,
            slice_us=(keys & 0xFFFFFFFF) * SLICE_US,
            counters=sums,
        )
        keys, sums = self._verdicts.merge()
        seconds = (keys & 0xFFFFFFFFF) * SECOND_US
        np.savez(directory / "verdicts.npz", instance=keys >> 36, second_us=seconds, good_bad_excluded=sums)
        if self.latencies:
            columns: dict[str, NDArray[Any]] = {}
            for name in LATENCIES:
                series, slices, values = self.sorted_latencies(name)
                columns |= {f"{name}.series": series, f"{name}.slice_us": slices, f"{name}.values": values}
            np.savez(directory / "latencies.npz", **columns)  # type: ignore[arg-type]  # numpy's stub, allow_pickle
        about = {
            "events": self.events, "labels": list(BASE_LABELS), "series": [list(s) for s in self.series],
            "counters": list(COUNTERS), "instances": [list(i) for i in self.instances], "slos": self.totals(),
        }  # fmt: skip
        (directory / "truth.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


class _Numbers:
    """The numeric columns, with the schema's defaults where a column is not given."""

    def __init__(self, events: EventColumns) -> None:
        self._events = events
        self.completed_at = _column(events, "completed_at")
        self.e2e_us, self.ttft_us = _column(events, "e2e_us"), _column(events, "ttft_us")
        self.waited_us = self.e2e_us * _column(events, "stream")  # at least, where no first token came
        decode = _column(events, "decode_us")
        self.decode_us = np.where(decode == NULL, self.e2e_us - self.ttft_us, decode)
        self.input_tokens, self.output_tokens = (
            _column(events, "input_tokens"),
            _column(events, "output_tokens"),
        )
        self.cost_picousd, self.gpu_us = _column(events, "cost_picousd"), _column(events, "gpu_us")
        self.weight, self.attempt = _column(events, "sample_weight"), _column(events, "attempt")
        self.cold_start, self.final_attempt = _column(events, "cold_start"), _column(events, "final_attempt")
        failed = (_column(events, "http_status") >= 500).astype(np.int64)
        low = (_column(events, "priority") < 0).astype(np.int64)
        self.case = _CASES[_symbols(events, "outcome"), _symbols(events, "failure_kind"), failed, low]

    def known(self, kind: Kind) -> NDArray[np.bool_]:
        """Tell which events have a value for this kind of SLI."""
        has_ttft: NDArray[np.bool_] = self.ttft_us != NULL
        if kind is Kind.TTFT:
            return has_ttft
        if kind is Kind.TPOT:
            return has_ttft & (self.output_tokens >= 2) & (self.decode_us >= 0)
        if kind in FIELD_OF:
            is_defined = (self.output_tokens >= 2) | (self.output_tokens == NULL) | (kind not in BETWEEN_TOKENS)
            return np.asarray((self.value(kind) >= 0) & is_defined)
        return np.ones(len(self.case), np.bool_)

    def value(self, kind: Kind) -> Ints:
        if kind in FIELD_OF:
            return _column(self._events, FIELD_OF[kind])
        own = {Kind.TTFT: self.ttft_us, Kind.TPOT: self.decode_us, Kind.ATTEMPT: self.attempt}
        return own.get(kind, self.e2e_us)

    def asked_us(self, metric: str) -> Ints:
        """What each request asks for itself, an hour at most; 0: nothing."""
        asked = _column(self._events, OBJECTIVES[metric] or "")
        return np.where(asked > 0, np.minimum(asked, 3_600_000) * 1000, 0)

    def scale(self, kind: Kind) -> Ints:
        """What a value is divided by: comparisons multiply the threshold instead."""
        return (
            np.where(self.output_tokens >= 2, self.output_tokens - 1, 1)
            if kind is Kind.TPOT
            else np.ones_like(self.case)
        )


def _column(events: EventColumns, name: str) -> Ints:
    if name in events.columns:
        return np.asarray(events[name]).astype(np.int64)
    default = _DEFAULTS[name]
    return np.full(len(events), NULL if default is None else int(default), np.int64)


def _symbols(events: EventColumns, name: str) -> Ints:
    if name in events.columns:
        return np.asarray(events[name]).astype(np.int64)
    symbols = FAILURE_KINDS if name == "failure_kind" else OUTCOMES if name == "outcome" else VANTAGES
    return np.full(len(events), symbols.index(_DEFAULTS[name]), np.int64)


def label_codes(events: EventColumns, name: str) -> tuple[Sequence[str], Ints]:
    """Return a label's possible values and each event's; null is the empty string."""
    if name == "priority_class":
        return [PRIORITY_CLASSES[sign] for sign in (-1, 0, 1)], np.sign(_column(events, "priority")) + 1
    if LABELS[name] == "enum":
        return VANTAGES, _symbols(events, name)
    if LABELS[name] == "boolean":
        return ("false", "true"), _column(events, name)
    if name not in events.columns:
        return [_DEFAULTS[name] or ""], np.zeros(len(events), np.int64)
    column = events[name]
    assert isinstance(column, Words)
    return ["", *column.words], column.codes.astype(np.int64) + 1


def _combined(labels: Sequence[tuple[Sequence[str], Ints]], rows: Any) -> tuple[list[tuple[str, ...]], Ints]:
    """Return the distinct tuples of label values among rows, and which one each row has."""
    combined = np.zeros(len(rows), np.int64)
    for words, codes in labels:
        combined = combined * len(words) + codes[rows]
    distinct, first, where = np.unique(combined, return_index=True, return_inverse=True)
    chosen = [[words[code] for code in codes[rows][first].tolist()] for words, codes in labels]
    return list(zip(*chosen, strict=True)) if labels else [()] * len(distinct), where


def _ids(known: dict[tuple[str, ...], int], labels: Any) -> tuple[dict[tuple[str, ...], int], Ints]:
    tuples, where = _combined(labels, np.arange(len(labels[0][1])))
    ids = np.array([known.setdefault(values, len(known)) for values in tuples], np.int64)
    return known, ids[where]


def _instance_ids(known: dict[tuple[str, str], int], slo: str, names: tuple[str, ...], labels: Any, rows: Ints) -> Ints:
    tuples, where = _combined(labels, rows)
    texts = [label_text(names, values) for values in tuples]
    return np.array([known.setdefault((slo, text), len(known)) for text in texts], np.int64)[where]


def judged(objective: Objective, events: EventColumns) -> Ints:
    """Return GOOD, BAD or EXCLUDED for every event; EXCLUDED where the objective is not about it."""
    numbers = _Numbers(events)
    return np.where(_selected(objective, events, numbers), _judged(objective, numbers), Verdict.EXCLUDED)


def _selected(objective: Objective, events: EventColumns, numbers: _Numbers) -> NDArray[np.bool_]:
    """Tell which events an objective is about."""
    indicator = objective.indicator
    wanted: dict[str, Accepted] = {"service": (objective.service,), **dict(indicator.where)}
    if indicator.vantage is not None:
        wanted = {**wanted, "vantage": (indicator.vantage,)}
    chosen = np.ones(len(events), np.bool_)
    for name, accepted in wanted.items():
        words, codes = label_codes(events, name)
        chosen &= np.array([word in accepted for word in words], np.bool_)[codes]
    return chosen & (numbers.final_attempt != 0) if indicator.final_attempts_only else chosen


def _counted(objective: Objective, numbers: _Numbers) -> tuple[Ints, Ints, Ints]:
    """Return what every event adds to good, bad and excluded, selected or not."""
    kind = METRICS[objective.indicator.metric].kind
    judged = _judged(objective, numbers)
    if kind not in SUMS:
        good, bad, excluded = ((judged == v).astype(np.int64) for v in (Verdict.GOOD, Verdict.BAD, Verdict.EXCLUDED))
        return good, bad, excluded
    tokens, cost = (np.maximum(each, 0) for each in (numbers.output_tokens, numbers.cost_picousd))
    amount, load = (cost, tokens) if kind is Kind.COST else (tokens, np.ones_like(tokens))
    amount = np.where(judged == Verdict.EXCLUDED, 0, amount)
    load = np.where(judged == Verdict.SUM, load, 0)
    return amount, load, ((amount | load) == 0).astype(np.int64)


def _judged(objective: Objective, numbers: _Numbers) -> Ints:
    """Return GOOD, BAD or EXCLUDED for every event, selected or not; of sums, what is left to do."""
    indicator = objective.indicator
    kind = METRICS[indicator.metric].kind
    table = _VERDICTS[:, kind].copy()
    for case, verdict in indicator.verdicts:
        table[case] = verdict
    rule: Ints = table[numbers.case]
    if kind is Kind.GOODPUT:
        return _together(objective, rule, numbers)
    threshold = 1 if kind is Kind.ATTEMPT else indicator.threshold or 0
    return _compared(kind, rule, np.full(len(rule), threshold), indicator.at_most, numbers)


def _together(objective: Objective, rule: Ints, numbers: _Numbers) -> Ints:
    """Judge by several objectives at once, of which each event has some."""
    missed = np.zeros(len(rule), np.bool_)
    for metric, threshold_us in objective.indicator.objectives:
        kind = METRICS[metric].kind
        limit = np.full(len(rule), threshold_us or 0) if threshold_us is not None else numbers.asked_us(metric)
        judged = _compared(kind, _VERDICTS[:, kind][numbers.case], limit, True, numbers)
        is_bad = judged == Verdict.BAD
        if objective.indicator.is_strict:
            is_bad |= (judged == Verdict.EXCLUDED) & (rule == Verdict.JOINT)
        missed |= is_bad & (limit > 0)
    several = {Verdict.JOINT: Verdict.GOOD, Verdict.UNFINISHED: Verdict.EXCLUDED}
    met: Ints = np.select([rule == left for left in several], list(several.values()), rule)
    return np.where(missed & np.isin(rule, list(several)), Verdict.BAD, met)


def _compared(kind: Kind, rule: Ints, threshold: Ints, at_most: bool, numbers: _Numbers) -> Ints:
    """Decide what the rules of cases leave to the values."""
    limit, value = threshold * numbers.scale(kind), numbers.value(kind)
    compared = np.where(value <= limit if at_most else value >= limit, Verdict.GOOD, Verdict.BAD)
    known = numbers.known(kind)
    exceeds, elapsed = (
        np.where((bound > limit) & at_most, Verdict.BAD, Verdict.EXCLUDED) for bound in (value, numbers.waited_us)
    )
    decided = {
        Verdict.COMPARE: np.where(known, compared, Verdict.EXCLUDED),
        Verdict.CENSORED: np.where(known, exceeds, Verdict.EXCLUDED),
        Verdict.AWAITED: np.where(known, compared, elapsed),
    }
    return np.select([rule == verdict for verdict in decided], list(decided.values()), rule)
