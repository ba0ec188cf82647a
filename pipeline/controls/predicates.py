"""Objectives as SQL: what an event that is kept whole means for an SLO, over the columns of the view `events`.

Law: of every event the expression says what the kernels counted it as: 1 good, 2 bad, 0 excluded or of no concern
(tested event by event against tests/naive/events.py). It says nothing of what a full dictionary of series counts as
`other`, and nothing of sums. Pure: text in, text out.
"""

from collections.abc import Iterable, Mapping

from pipeline.series import LABELS, PRIORITY_CLASSES
from pipeline.sli import (
    BETWEEN_TOKENS,
    FIELD_OF,
    METRICS,
    OBJECTIVES,
    OF_SLICES,
    VANTAGES,
    VERDICTS,
    Case,
    Kind,
    Verdict,
)
from pipeline.slo import Accepted, Indicator, Objective, Selector

EXCLUDED, GOOD, BAD = Verdict.EXCLUDED, Verdict.GOOD, Verdict.BAD
GREATEST_OWN_MS = 3_600_000  #: as in kernels.verdicts
SLOWED = (Kind.TTFT, Kind.PREFILL)  #: times that a busier endpoint makes longer for all alike, by what is asked for

#: what became of the request, sli.case_of as SQL; expressions of verdicts read it as `what`
WHAT = (
    "transform(multiIf("
    "outcome = 'SUCCESS' AND failure_kind = 'NONE' AND ifNull(http_status, 0) < 500, 'COMPLETE', "
    "outcome IN ('SUCCESS', 'ERROR'), if(failure_kind = 'TRUNCATED', 'TRUNCATED', 'ERROR'), "
    "outcome = 'SHED' AND priority < 0, 'SHED_SHEDDABLE', outcome), "
    f"[{', '.join(repr(case.name) for case in Case)}], [{', '.join(str(int(case)) for case in Case)}], 0)"
)


def literal(text: str) -> str:
    """Write a text as SQL does."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def verdict(objective: Objective) -> str:
    """The expression of one objective; see the law.

    Raises: ValueError for a metric that judges slices of time, not events.
    """
    indicator, kind = objective.indicator, METRICS[objective.indicator.metric].kind
    if kind in OF_SLICES:
        raise ValueError(f"{indicator.metric} judges slices of time, no events")
    cases = _cases(kind, dict(indicator.verdicts))
    threshold = "1" if kind is Kind.ATTEMPT else str(indicator.threshold or 0)
    decided = _decided(kind, threshold, indicator.at_most) | _together(indicator)
    return f"if({selected(objective)}, {_by_case(cases, decided)}, {EXCLUDED})"


def slowed(objective: Objective) -> str | None:
    """The expression of an event's time over the threshold, negative where that is not known; None: of no such SLO."""
    indicator = objective.indicator
    if METRICS[indicator.metric].kind not in SLOWED or not indicator.at_most or not indicator.threshold:
        return None
    value, _, known = _value(METRICS[indicator.metric].kind)
    return f"if({known}, {value} / {indicator.threshold}, -1.)"


def selected(objective: Objective) -> str:
    """The condition that an objective is about an event."""
    indicator = objective.indicator
    wanted: dict[str, Accepted] = {"service": (objective.service,)}
    wanted |= {"vantage": (indicator.vantage,)} if indicator.vantage is not None else {}
    found = [_accepts(label(name), each) for name, each in (*wanted.items(), *indicator.where)]
    return " AND ".join([*found, *(["final_attempt"] if indicator.final_attempts_only else [])])


def label(name: str) -> str:
    """The expression of a label's value; null is the empty string."""
    if name == "priority_class":
        low, middle, high = (literal(PRIORITY_CLASSES[sign]) for sign in (-1, 0, 1))
        return f"multiIf(priority < 0, {low}, priority > 0, {high}, {middle})"
    if LABELS[name] == "enum":
        return f"if({name} IN ({', '.join(map(literal, VANTAGES))}), toString({name}), 'UNKNOWN')"
    if LABELS[name] == "boolean":
        return f"if({name}, 'true', 'false')"
    return f"ifNull(toString({name}), '')"


def _accepts(value: str, accepted: Accepted) -> str:
    if not isinstance(accepted, Selector):
        return f"{value} IN ({', '.join(map(literal, accepted))})"
    found = [f"{value} NOT IN ({', '.join(map(literal, accepted.none_of))})"] if accepted.none_of else []
    if accepted.prefixes:
        found.append(f"({' OR '.join(f'startsWith({value}, {literal(each)})' for each in accepted.prefixes)})")
    return " AND ".join(found) or "1"


def _cases(kind: Kind, own: Mapping[Case, Verdict]) -> dict[Verdict, list[Case]]:
    """Which cases have which verdict; what the SLO's own policy says goes first."""
    found: dict[Verdict, list[Case]] = {}
    for case in Case:
        found.setdefault(own.get(case, VERDICTS[case][kind]), []).append(case)
    return found


def _by_case(cases: Mapping[Verdict, Iterable[Case]], decided: Mapping[Verdict, str]) -> str:
    branches = [
        f"what IN ({', '.join(str(int(case)) for case in some)}), {decided[said]}"
        for said, some in cases.items()
        if said is not EXCLUDED
    ]
    return f"multiIf({', '.join(branches)}, {EXCLUDED})" if branches else str(int(EXCLUDED))


def _decided(kind: Kind, threshold: str, at_most: bool) -> dict[Verdict, str]:
    """What each verdict comes to, of one value against one threshold."""
    value, scale, known = _value(kind)
    limit, sign = f"{threshold} * ({scale})", "<=" if at_most else ">="
    compared = f"if({value} {sign} {limit}, {GOOD}, {BAD})"
    exceeds, outlasts = (f"if({each}, {BAD}, {EXCLUDED})" if at_most else str(int(EXCLUDED)) for each in (
        f"{known} AND {value} > {limit}", f"stream AND e2e_us > {threshold}"))  # fmt: skip
    return {
        GOOD: str(int(GOOD)),
        BAD: str(int(BAD)),
        Verdict.COMPARE: f"if({known}, {compared}, {EXCLUDED})",
        Verdict.CENSORED: exceeds,
        Verdict.AWAITED: f"if({known}, {compared}, {outlasts})",
    }


def _value(kind: Kind) -> tuple[str, str, str]:
    """Expressions of the value, of what it is divided by, and of whether there is one."""
    if kind is Kind.TTFT:
        return "ifNull(ttft_us, 0)", "1", "ifNull(ttft_us, -1) >= 0"
    if kind is Kind.TPOT:
        value = "ifNull(ifNull(decode_us, e2e_us - ttft_us), -1)"
        known = f"ifNull(ttft_us, -1) >= 0 AND ifNull(output_tokens, 0) >= 2 AND {value} >= 0"
        return value, "greatest(ifNull(output_tokens, 2) - 1, 1)", known
    if kind in FIELD_OF:
        value = f"ifNull({FIELD_OF[kind]}, -1)"
        gap = " AND ifNull(output_tokens, 2) >= 2" if kind in BETWEEN_TOKENS else ""
        return value, "1", f"{value} >= 0{gap}"
    return ("attempt" if kind is Kind.ATTEMPT else "e2e_us"), "1", "1"


def _together(indicator: Indicator) -> dict[Verdict, str]:
    """What the verdicts of several values together come to; of other metrics nobody asks."""
    missed, lacking = [], []
    for metric, threshold_us in indicator.objectives:
        kind, limit = METRICS[metric].kind, str(threshold_us)
        if threshold_us is None:
            limit = f"(1000 * greatest(least(ifNull({OBJECTIVES[metric]}, 0), {GREATEST_OWN_MS}), 0))"
        judged = _by_case(_cases(kind, {}), _decided(kind, limit, True))
        missed.append(f"({limit} > 0 AND {judged} = {BAD})")
        lacking.append(f"({limit} > 0 AND {judged} = {EXCLUDED})")
    over = " OR ".join(missed) or "0"
    served = " OR ".join([*missed, *lacking]) if indicator.is_strict else over
    return {
        Verdict.JOINT: f"if({served or '0'}, {BAD}, {GOOD})",
        Verdict.UNFINISHED: f"if({over}, {BAD}, {EXCLUDED})",
    }
