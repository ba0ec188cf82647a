"""What the language has and the engine does not judge yet, by name. A promise that is not measured is refused.

Pure. One row a feature: the day it is judged, its row goes. Metrics have their own list, `sli.METRICS_LATER`.
"""

from collections.abc import Callable
from typing import NamedTuple

from pipeline.spec.calendars import CALENDAR
from pipeline.spec.classification import POLICY, verdicts
from pipeline.spec.reading import Reading


class Later(NamedTuple):
    """One feature: where it is written, when it is asked for, what is missing, what to write instead."""

    path: str
    is_asked: Callable[[Reading], bool]
    missing: str
    remedy: str


LATER: tuple[Later, ...] = (
    Later(
        POLICY,
        lambda reading: bool(verdicts(reading)),
        "every SLO is counted by one table of cases",
        "remove what differs from the table: shed is bad, cancelled, rateLimited and rejected are excluded",
    ),
    Later(
        CALENDAR,
        lambda reading: reading.is_given(CALENDAR),
        "windows roll",
        "write timeWindow: {duration: 30d, isRolling: true}",
    ),
    Later(
        "spec.budgetingMethod",
        lambda reading: reading.get("spec.budgetingMethod") in {"Timeslices", "RatioTimeslices"},
        "events are counted, not slices",
        "write budgetingMethod: Occurrences, without timeSliceWindow and timeSliceTarget",
    ),
    Later(
        "spec.composite",
        lambda reading: reading.is_given("spec.composite"),
        "no SLO is judged from others",
        "write one SLO for each member",
    ),
)


def refuse(reading: Reading, later: tuple[Later, ...] = LATER) -> None:
    """Report every feature that one document asks for and nothing judges."""
    for feature in later:
        if feature.is_asked(reading):
            rule = f"is not supported yet: {feature.missing}"
            value = None if feature.path in reading.values else "{…}"
            reading.refuse(feature.path, rule, feature.remedy, value=value)
