"""What every kind of alert says, kept in notifications.txt; `python -m tests.delivery.golden` writes it anew.

Whoever changes a text reads the difference, and asks what a person makes of it at three in the morning.
"""

from dataclasses import replace
from pathlib import Path

from pipeline.alerts import Severity
from pipeline.delivery.context import NOTHING, Context, Recorded, change_of
from pipeline.delivery.notification import Action, AlertEvent, Notification, Words
from pipeline.delivery.words import notification_of, words
from tests.delivery.told import KNOWN, SLICED, at_us, event, exceeded, ours, over, silent, spent

FILE = Path(__file__).parent / "notifications.txt"

DEPLOY = Recorded(
    at_us("02:59:58"), "DEPLOY", "vllm 0.9.1", ["max_num_seqs: 256 -> 512"], "ci", "https://ci.example/runs/7",
    (("variant", "v2"),),
)  # fmt: skip
#: name -> alert event, what is known beside it, severity before
CASES: dict[str, tuple[AlertEvent, Context, str]] = {
    "burn rate fires, and much is known": (event(), KNOWN, "NONE"),
    "burn rate fires, and nothing is known beside it": (event(runbook=None, exemplar_trace_ids=[]), NOTHING, "NONE"),
    "burn rate fires, counted, and nobody stands out": (event(), replace(KNOWN, hit=(), changes=()), "NONE"),
    "burn rate fires, four minutes after a deploy": (
        event(), replace(KNOWN, changes=(change_of(DEPLOY),)), "NONE",
    ),
    "a warning becomes critical": (
        event(event="UPDATED", started_at=at_us("01:40:00")), KNOWN, "WARNING",
    ),
    "critical becomes a warning": (
        event(event="UPDATED", severity="WARNING", started_at=at_us("01:40:00"), long_window_s=86_400,
              short_window_s=7_200, burn_rate_factor=2.0, long_burn_rate=3.4, short_burn_rate=4.4,
              long_bad=36_000, long_good=1_022_823, short_bad=400, short_good=8_690), NOTHING, "CRITICAL",
    ),
    "burn rate is over": (
        over("03:51:00", "the budget burns at 9.4x over 1 h, 0.3x over 5 min", long_bad=9_400, short_bad=15,
             long_burn_rate=9.4, short_burn_rate=0.3, time_to_exhaustion_s=None), KNOWN, "CRITICAL",
    ),
    "the SLO was removed while its alert was open": (over("03:51:00", "the SLO was removed"), NOTHING, "CRITICAL"),
    "the budget is overspent": (event(budget_remaining_ratio=-2.4, time_to_exhaustion_s=0.0), NOTHING, "NONE"),
    "a young SLO": (
        event(long_good=900, long_bad=100, long_burn_rate=0.95 * 2, short_good=900, short_bad=100, provisional=True,
              late_ratio=0.021, budget_remaining_ratio=None, time_to_exhaustion_s=None), NOTHING, "NONE",
    ),
    "slices of time are counted": (
        event(long_good=40, long_bad=20, short_good=3, short_bad=2, long_burn_rate=33.3, metric="error_rate"), SLICED,
        "NONE",
    ),
    "ratios of slices are counted": (
        event(long_good=55_500_000, long_bad=4_500_000, short_good=4_100_000, short_bad=900_000, long_burn_rate=7.5),
        replace(SLICED, parts=1_000_000), "NONE",
    ),
    "a composite": (
        event(slo="chat-journey", instance="", labels={}, metric="weightedMean", long_burn_rate=14.2), NOTHING, "NONE",
    ),
    "no data": (silent(), KNOWN, "NONE"),
    "data again": (
        silent(event="RESOLVED", window_end=at_us("03:16:05"),
               reason="critical is over: events come again; nothing was judged from 2026-01-02 03:04:05 UTC on"),
        KNOWN, "CRITICAL",
    ),
    "half of a budget is spent": (spent("BUDGET", 0.5, "INFO", 0.49), KNOWN, "NONE"),
    "nine tenths of a budget are spent": (
        spent("BUDGET", 0.9, "WARNING", 0.083, event="UPDATED", started_at=at_us("00:00:00") - 5 * 86_400_000_000,
              exhaustion_burn_rate=1.4, time_to_exhaustion_s=154_000.0), KNOWN, "INFO",
    ),
    "a budget is gone": (spent("BUDGET", 1.0, "WARNING", -0.02, time_to_exhaustion_s=0.0), KNOWN, "WARNING"),
    "a budget is back": (
        spent("BUDGET", 0.5, "INFO", 0.56, event="RESOLVED", window_end=at_us("09:30:00"), time_to_exhaustion_s=None,
              reason="info is over: less than 50% of the error budget of 30 d is spent"), KNOWN, "INFO",
    ),
    "an SLA is at risk": (spent("SLA", 0.75, "WARNING", 0.24), KNOWN, "NONE"),
    "an SLA is missed": (spent("SLA", 1.0, "CRITICAL", -0.01, time_to_exhaustion_s=0.0), KNOWN, "WARNING"),
    "an SLA is safe again": (
        spent("SLA", 0.75, "WARNING", 0.3, event="RESOLVED", window_end=at_us("09:30:00"), time_to_exhaustion_s=None,
              reason="warning is over: less than 75% of the SLA's budget of 30 d is spent"), KNOWN, "WARNING",
    ),
    "the pipeline lags": (
        ours("LAGGING", "warning: store lags: a transaction or insert is open for 45 s; 12000 records wait, and some "
             "have for 61 s", {"partition": "slo.alerts/0", "step": "store"}), NOTHING, "NONE",
    ),
    "the pipeline has caught up": (
        ours("LAGGING", "warning is over: store has caught up", {"partition": "slo.alerts/0", "step": "store"},
             event="RESOLVED", window_end=at_us("03:16:05")), NOTHING, "WARNING",
    ),
    "a source is stale": (
        ours("STALE_SOURCE", "warning: inference.events/3 is silent for 304 s, while others are not",
             {"source": "inference.events/3"}), NOTHING, "NONE",
    ),
    "a source speaks again": (
        ours("STALE_SOURCE", "warning is over: inference.events/3 speaks again", {"source": "inference.events/3"},
             event="RESOLVED", window_end=at_us("03:16:05")), NOTHING, "WARNING",
    ),
    "a receiver is down": (
        ours("RECEIVER_DOWN", "critical: receiver pager is down for 32 s: events.pagerduty.com port 443: no route",
             {"receiver": "pager"}, "CRITICAL"), NOTHING, "NONE",
    ),
    "a receiver answers again": (
        ours("RECEIVER_DOWN", "critical is over: receiver pager answers again", {"receiver": "pager"}, "CRITICAL",
             event="RESOLVED", window_end=at_us("03:16:05")), NOTHING, "CRITICAL",
    ),
    "a quota is exceeded": (exceeded(), NOTHING, "NONE"),
    "a quota is kept again": (
        exceeded(event="RESOLVED", window_end=at_us("09:30:00"), long_bad=0, long_good=4_200_000,
                 reason="warning is over: the quota is kept again"), NOTHING, "WARNING",
    ),
    "labels that would break lines": (
        event(labels={"tenant_id": "a\nb\u202e" + "x" * 200, "region": ""}, instance="tenant_id=a\nb'"),
        NOTHING,
        "NONE",
    ),
}  # fmt: skip


def grouped() -> Notification:
    """Alerts of a service as one incident: one is over, others are open."""
    others = [event(dedup_key=f"k{i}", slo="chat-errors", labels={"region": f"r{i}"}) for i in range(12)]
    was_one = over("03:04:00", "the budget burns at 0.2x over 1 h, 0x over 5 min", dedup_key="o", labels={})
    return Notification(
        "service=chat", "n", Action.UPDATE, Severity.CRITICAL, event(), (event(), *others), (was_one,),
        (("service", "chat"),), event().started_at, Severity.WARNING,
    )  # fmt: skip


def said(name: str) -> Words:
    """What a case says."""
    alert, context, was = CASES[name]
    return words(notification_of(alert, Severity[was]), context)


def written() -> str:
    """All of it, to be read."""
    every = {name: said(name) for name in CASES}
    every["many alerts of a service"] = words(grouped(), KNOWN)
    every["a test"] = words(replace(notification_of(event()), is_test=True))
    return "\n".join(f"=== {name}\n{title}\n\n{short}\n\n{long}\n" for name, (title, short, long) in every.items())


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
