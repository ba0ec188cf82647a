"""How an SLO instance stands, in a word, and whether what is known of it is of now.

Pure: times come from one clock, ClickHouse's. The terminal, the page and the gate say the same, since they ask here.
Law: what nobody judges, what is judged on old events, and what a worker says to be behind with is stale, whatever its
numbers say; what fires is never hidden by a window without data; a word that is not known yet is never well.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pipeline.delivery.words_figures import lasting

#: the worst first; what is unknown comes before what is well
STANDINGS = (
    "critical", "warning", "info", "spent", "recovering", "pending", "stale", "frozen", "no_data", "ok",
)  # fmt: skip
FIRING = frozenset({"critical", "warning", "info"})
STALE_S = 120.0  #: a judge writes several times a second while anything comes


class Freshness(NamedTuple):
    """The row of infra/clickhouse/page/freshness.sql."""

    asked_at: datetime
    judged_at: datetime | None  # when anything was judged last; None: nothing ever was
    event_time: datetime | None  # up to which anything is judged
    lagging: str  # which steps say that they are behind, and how

    @property
    def judged_before_s(self) -> float | None:
        return None if self.judged_at is None else max((self.asked_at - self.judged_at).total_seconds(), 0.0)

    def staleness(self, allowed_s: float) -> str:
        """Say why what is known is not of now; the empty string: it is.

        `allowed_s`: how far event time trails in any case, which is grace and the wait for idle sources. All of them
        are looked at together: one instance may be silent for long, and is not judged anew.
        """
        if self.judged_at is None or self.event_time is None or self.judged_before_s is None:
            return "nothing has ever been judged"
        if self.judged_before_s > STALE_S:
            return f"nothing has been judged for {lasting(self.judged_before_s)}"
        behind_s = (self.asked_at - self.event_time).total_seconds()
        if behind_s > STALE_S + allowed_s:
            return f"what is judged now is {lasting(behind_s)} old"
        return f"behind: {self.lagging}" if self.lagging else ""


def trend(target: float, cells: Sequence[Sequence[int]], count: int) -> list[float | None]:
    """Burn rates of so many cells, the newest last, of columns: cell, good, bad. None: nothing was eligible."""
    found: list[float | None] = [None] * count
    for cell, good, bad in zip(*cells, strict=True):
        if good + bad:
            found[cell] = round(bad / (good + bad) / (1 - target), 4)
    return found


def standing(
    state: str, severity: str, compliance_ratio: float | None, budget_remaining_ratio: float | None, is_stale: bool
) -> str:
    """Say in a word how an SLO instance is, by the state and severity of its alert and what is left."""
    if is_stale:
        return "stale"
    if state == "FIRING":
        return severity.lower() if severity.lower() in FIRING else "info"
    if compliance_ratio is None:
        return "no_data"
    if state == "OK":
        return "spent" if budget_remaining_ratio is not None and budget_remaining_ratio <= 0 else "ok"
    return state.lower() if state in {"RECOVERING", "PENDING"} else "frozen"
