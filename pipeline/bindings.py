"""Bindings: which objectives apply to a series, and as which SLO instance. String predicates end here.

Pure. A series is resolved once, when its label key is first seen; from then on the kernel compares numbers
only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.classify import OWN_BITS
from pipeline.kernels.verdicts import SLO_TPOT_MS, SLO_TTFT_MS, SOME_DURATIONS, SOME_OTHERS, VALUE_BYTES
from pipeline.series import BASE_LABELS, OTHER, label_text
from pipeline.sli import FIELD_OF, METRICS, OBJECTIVES, Kind
from pipeline.slo import PART, Indicator, Objective

Rule = tuple[int, int, int, int, int]

FIRST_ATTEMPT = 1  #: the threshold of `attempt`: more is one more attempt
#: where a request's own targets stand in a row
OWN_TARGETS = {"slo_ttft_ms": SLO_TTFT_MS, "slo_tpot_ms": SLO_TPOT_MS}


class Instance(NamedTuple):
    """One SLO instance: an SLO and the values of its groupBy labels."""

    slo: str
    revision: str  # of the indicator
    labels: str  # as label_text writes them


def route(text: str, partitions: int) -> int:
    """Choose the derived partition of an instance or a series: one key, one partition."""
    return crc32(text.encode()) % partitions


def counts_partition(slo: str, labels: str, partitions: int) -> int:
    """Choose where an SLO instance is counted; all parts of a composite together."""
    return route(f"{slo.partition(PART)[0]}|{labels}", partitions)


def labels_needed(objectives: Sequence[Objective]) -> tuple[str, ...]:
    """Labels a series must have: those of the views, and those some objective selects or groups by."""
    wanted = [name for objective in objectives for name in _labels_of(objective)]
    return tuple(dict.fromkeys((*BASE_LABELS, *wanted)))


def _kinds(objectives: Iterable[Objective]) -> set[Kind]:
    """Kinds of what is asked for, the parts of goodput included."""
    indicators = [objective.indicator for objective in objectives]
    parts = (metric for indicator in indicators for metric, _ in indicator.objectives)
    return {METRICS[metric].kind for metric in (*(indicator.metric for indicator in indicators), *parts)}


def columns_needed(objectives: Sequence[Objective]) -> frozenset[str]:
    """Columns of an event that only some objectives are about."""
    parts = [part for objective in objectives for part in objective.indicator.objectives]
    own = {OBJECTIVES[metric] for metric, threshold_us in parts if threshold_us is None}
    return frozenset({FIELD_OF[kind] for kind in _kinds(objectives) if kind in FIELD_OF} | {c for c in own if c})


def kinds_needed(objectives: Iterable[Objective]) -> int:
    """Which of the kinds that only some objectives are about are asked for, as kernels.verdicts reads it."""
    kinds = _kinds(objectives)
    durations = any(Kind.TTFO <= kind <= Kind.ITL_MAX for kind in kinds)
    others = any(kind > Kind.ITL_MAX for kind in kinds)
    return SOME_DURATIONS * durations | SOME_OTHERS * others


def smaller_keys(objectives: Sequence[Objective]) -> tuple[tuple[str, ...], ...]:
    """Labels that smaller keys keep once the dictionary of series is full.

    First what objectives use, so that compliance stays exact while other labels become `other`; then without
    groupBy.
    """
    used = tuple(dict.fromkeys(name for objective in objectives for name in _labels_of(objective)))
    grouped = {name for objective in objectives for name in objective.indicator.group_by}
    selected = {name for objective in objectives for name, _ in objective.indicator.where}
    kept = tuple(name for name in used if name in selected or name not in grouped)
    return tuple(dict.fromkeys((used or ("service",), kept or ("service",))))


def _labels_of(objective: Objective) -> tuple[str, ...]:
    indicator = objective.indicator
    vantage = ("vantage",) if indicator.vantage else ()
    return ("service", *(name for name, _ in indicator.where), *indicator.group_by, *vantage)


def applies(objective: Objective, labels: Mapping[str, str]) -> bool:
    """Tell whether an objective's selector matches a series."""
    indicator = objective.indicator
    if labels["service"] != objective.service:
        return False
    if indicator.vantage is not None and labels["vantage"] != indicator.vantage:
        return False
    return all(labels[name] in accepted for name, accepted in indicator.where)


def own_verdicts(indicator: Indicator) -> int:
    """The policy of an indicator as kernels.classify reads it: two bits a case, 0: definition 4.4."""
    return sum((verdict + 1) << (OWN_BITS * case) for case, verdict in indicator.verdicts)


def rule_of(indicator: Indicator, parts: int = 0) -> Rule:
    """What the kernel compares an event with; `parts`: where the rules of its objectives stand, of goodput."""
    kind, at_least = METRICS[indicator.metric].kind, int(indicator.at_most) - 1
    threshold = {Kind.GOODPUT: parts, Kind.ATTEMPT: FIRST_ATTEMPT}.get(kind, indicator.threshold or 0)
    return kind * VALUE_BYTES, threshold, at_least, int(indicator.final_attempts_only), own_verdicts(indicator)


def part_rules(indicator: Indicator) -> tuple[Rule, ...]:
    """What the kernel compares a request with for goodput, one objective after another."""
    return tuple(
        (METRICS[metric].kind * VALUE_BYTES, threshold_us or 0, 0, _own_threshold(metric, threshold_us),
         int(indicator.is_strict))
        for metric, threshold_us in indicator.objectives
    )  # fmt: skip


def _own_threshold(metric: str, threshold_us: int | None) -> int:
    """Where in a row a request's own threshold stands; 0: it has none."""
    return 0 if threshold_us is not None else OWN_TARGETS[OBJECTIVES[metric] or ""]


@dataclass
class Bindings:
    """Series ids, their labels, and the objectives bound to each: growing arrays that the kernel reads.

    Series 0 is `other`: every label unknown, no objective. Series with the same objectives share their rules.
    Shapes: starts, counts (series,) i32; bound (binding,) i32: instances; programs (series,) i64: first rule << 32 |
            rules; rules (rule, 5) i64: see kernels.verdicts.RULE_BYTES.
    """

    objectives: Sequence[Objective]
    label_names: tuple[str, ...]
    limit_instances: int
    labels: list[tuple[str, ...]] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    instances_refused: int = 0
    most: int = 1
    starts: NDArray[np.int32] = field(default_factory=lambda: np.zeros(64, np.int32))
    counts: NDArray[np.int32] = field(default_factory=lambda: np.zeros(64, np.int32))
    bound: NDArray[np.int32] = field(default_factory=lambda: np.zeros(64, np.int32))
    programs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(64, np.int64))
    rules: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 5), np.int64))
    _series: dict[tuple[str, ...], int] = field(default_factory=dict)
    _instance_ids: dict[Instance, int] = field(default_factory=dict)
    _first_rule: dict[tuple[Rule, ...], int] = field(default_factory=dict)
    _used: int = 0
    _rules: list[Rule] = field(init=False)  # of each objective

    def __post_init__(self) -> None:
        self._rules = [self._rule_of(objective.indicator) for objective in self.objectives]
        self._add(tuple(OTHER for _ in self.label_names), [])

    def series_of(self, labels: tuple[str, ...]) -> int:
        """Return the id of a series, binding its objectives when it is new."""
        known = self._series.get(labels)
        if known is not None:
            return known
        named = dict(zip(self.label_names, labels, strict=True))
        applying = [(rule, o) for rule, o in zip(self._rules, self.objectives, strict=True) if applies(o, named)]
        return self._add(labels, [(rule, self._instance_of(o, named)) for rule, o in applying])

    def _instance_of(self, objective: Objective, named: Mapping[str, str]) -> int:
        return self._instance_id(objective, tuple(named[name] for name in objective.indicator.group_by))

    def _instance_id(self, objective: Objective, values: tuple[str, ...]) -> int:
        names = objective.indicator.group_by
        wanted = Instance(objective.name, objective.indicator_revision, label_text(names, values))
        known = self._instance_ids.get(wanted)
        if known is not None:
            return known
        if len(self.instances) >= self.limit_instances and names and any(v != OTHER for v in values):
            self.instances_refused += 1
            return self._instance_id(objective, tuple(OTHER for _ in names))
        self.instances.append(wanted)
        return self._instance_ids.setdefault(wanted, len(self.instances) - 1)

    def _add(self, labels: tuple[str, ...], bound: list[tuple[Rule, int]]) -> int:
        series = len(self.labels)
        self.labels.append(labels)
        self._series[labels] = series
        if series >= len(self.starts):
            self.starts, self.counts, self.programs = _twice(self.starts), _twice(self.counts), _twice(self.programs)
        while self._used + len(bound) > len(self.bound):
            self.bound = _twice(self.bound)
        self.starts[series], self.counts[series] = self._used, len(bound)
        self.programs[series] = self._first_rule_of(tuple(rule for rule, _ in bound)) << 32 | len(bound)
        self.bound[self._used : self._used + len(bound)] = [instance for _, instance in bound]
        self.most = max(self.most, len(bound))
        self._used += len(bound)
        return series

    def _rule_of(self, indicator: Indicator) -> Rule:
        parts = part_rules(indicator)
        return rule_of(indicator, self._first_rule_of(parts) << 32 | len(parts) if parts else 0)

    def _first_rule_of(self, rules: tuple[Rule, ...]) -> int:
        """Where these rules stand, one behind another."""
        if rules not in self._first_rule:
            self._first_rule[rules] = len(self.rules)
            self.rules = np.concatenate([self.rules, np.array(rules, np.int64).reshape(-1, 5)])
        return self._first_rule[rules]


def _twice(array: NDArray[Any]) -> NDArray[Any]:
    """The same array with as much again behind it, zeroed."""
    return np.concatenate([array, np.zeros_like(array)])
