"""What a worker's steps say of themselves, and what follows: alive or not, behind or not.

Pure. Alive is told by progress against what waits: a step that tries again and again while its server is away is
alive, since a restart would not help; one that does nothing is not. Lagging is an alert of our own, and no reason to
restart anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.delivery.words_figures import lasting

STUCK_S = 60.0  #: without a unit, and without an attempt at one, for so long a step is not alive


@dataclass(frozen=True)
class StepFacts:
    """One step of one worker, at one moment."""

    name: str
    owned: int = 0  # partitions
    progress_age_s: float = 0.0  # since the last unit was written
    tried_age_s: float = float("inf")  # since the last attempt that its server refused for now
    oldest_in_flight_s: float = 0.0
    open_transaction_s: float = 0.0
    backlog_records: int = 0  # offsets in Kafka behind what was folded
    behind_s: float = 0.0  # since the oldest of it was there
    watermark_lag_s: float | None = None  # from the event time that is judged to now
    unjudged_s: float | None = None  # from it to the newest event time that was seen
    records: int = 0
    dead_letters: int = 0
    late: int = 0
    trouble: str = ""  # what else somebody has to look at, in words


def stuck(facts: StepFacts) -> str:
    """Why a step is not alive; the empty string: it is."""
    if not facts.owned or min(facts.progress_age_s, facts.tried_age_s) <= STUCK_S:
        return ""
    waiting = f", while {facts.backlog_records} records wait" if facts.backlog_records else ""
    return f"{facts.name} has written nothing for {lasting(facts.progress_age_s)}{waiting}"


def lag(facts: StepFacts, limit_s: float, allowed_s: float = 0.0) -> str:
    """In which ways a step lags, in words; the empty string: it does not.

    `allowed_s`: how far the watermark trails in any case, which is grace and the wait for idle sources. A watermark
    that stands because nothing comes is no lag: only what was seen and is not judged counts.
    """
    ages = (
        (facts.oldest_in_flight_s, limit_s, "the oldest block read is not written for"),
        (facts.open_transaction_s, limit_s, "a transaction or insert is open for"),
        (facts.behind_s, limit_s, f"{facts.backlog_records} records wait, and some have for"),
        (facts.unjudged_s or 0.0, limit_s + allowed_s, "events are seen but not judged over"),
    )
    said = [f"{what} {lasting(age_s)}" for age_s, most_s, what in ages if age_s > most_s]
    return "; ".join([*said, facts.trouble] if facts.trouble else said)


PROMPT = 10  #: others must have spoken within a tenth of the time after which one is stale


def is_stale(silent_us: Sequence[int], limit_us: int) -> list[bool | None]:
    """Whether each partition of a source is silent while others speak; None: it is silent, and so are others.

    Where traffic is low every partition is silent now and then: that is no news, and when all are silent there is an
    alert of its own. Negative: not heard yet.
    """
    others = [us for us in silent_us if us < limit_us]
    are_prompt = bool(others) and max(others) * PROMPT <= limit_us
    return [(are_prompt or None) if us >= limit_us else False for us in silent_us]


def stale(silent_us: Sequence[int], limit_us: int, source: str) -> str:
    """Which partitions of a source are silent while all others speak, in words."""
    late = [number for number, it_is in enumerate(is_stale(silent_us, limit_us)) if it_is]
    said = (silence(f"{source}/{number}", silent_us[number]) for number in late)
    return f"{'; '.join(said)}, while others are not" if late else ""


def silence(source: str, silent_us: int) -> str:
    return f"{source} is silent for {silent_us / 1e6:.0f} s"
