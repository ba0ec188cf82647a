"""Words: what a notification says, for a person who was woken by it.

Pure: of a notification and of what is known beside it. What happened, how many of how many, how fast the budget goes
and when it is gone, who is hit most, what changed before, what to do, since when, what is promised, where to look: a
line each, the most important first. What is not known is left out; no data is said as no data, never as zero.
Law: every kind of alert, open or over, has a title of one line, a short form of some sentences, and lines.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.alerts import Kind, Notice, Severity
from pipeline.delivery import words_figures as figures
from pipeline.delivery.context import NOTHING, Change, Context
from pipeline.delivery.notification import Action, AlertEvent, Notification, Words

TITLE_MOST, SHORT_MOST, LONG_MOST = 200, 1_000, 8_000  #: characters; PagerDuty takes 1,024 of a summary
CHANGES_MOST, OTHERS_MOST = 5, 10
LATE_MATTERS = 0.01
COMPOSED = {"weightedMean", "worstOf"}  #: metrics whose burn rate does not follow from a sum of counts


@dataclass(frozen=True)
class About:
    """The alert that speaks, and what is known beside it."""

    alert: AlertEvent
    context: Context = NOTHING

    @property
    def is_composed(self) -> bool:
        return self.alert.metric in COMPOSED

    @property
    def lasted(self) -> str:
        return figures.lasting((self.alert.window_end - self.alert.started_at) / 1e6)

    @property
    def bad_share(self) -> float | None:
        eligible = self.alert.long_good + self.alert.long_bad
        return self.alert.long_bad / eligible if eligible else None

    @property
    def allowed(self) -> str:
        return figures.share(1 - self.alert.target)

    @property
    def long(self) -> str:
        return figures.lasting(self.alert.long_window_s)

    @property
    def short(self) -> str:
        return figures.lasting(self.alert.short_window_s)

    def moment(self, at_us: int) -> str:
        return figures.moment(at_us, self.alert.window_end)

    def counted(self, good: int, bad: int, window: str) -> str:
        """How many of how many: 52 of 1,000 requests bad in 1 h (5.2 %)."""
        noun, parts = self.context.noun, self.context.parts
        if not good + bad:
            return f"no {noun} in {window}"
        some, every = (f"{count:,}" if parts == 1 else f"{count / parts:,.1f}" for count in (bad, good + bad))
        return f"{some} of {every} {noun} bad in {window} ({figures.share(bad / (good + bad), 3)})"

    @property
    def long_counts(self) -> str:
        return self.counted(self.alert.long_good, self.alert.long_bad, self.long)


def words(notification: Notification, context: Context = NOTHING) -> Words:
    """Say a notification; `context` is that of the alert which speaks."""
    about = About(notification.alert, context)
    head = f"{who(about.alert)}: {headline(about)}"
    more = len({each.dedup_key for each in notification.open} - {about.alert.dedup_key})
    others = f" (and {figures.many(more, 'more alerts')} open)" if more else ""
    title = figures.cut(f"[{_status(notification)}] {head}", TITLE_MOST - len(others)) + others
    lines = [f"{name}: {'; '.join(texts)}" for name, texts in _lines(about, notification) if texts]
    short = " ".join((*(f"{text.rstrip('.')}." for text in (head, *_short(about))), *_runbook(about)))
    return Words(title, figures.cut(short, SHORT_MOST), figures.cut("\n".join(lines), LONG_MOST))


def who(alert: AlertEvent) -> str:
    """Name what the alert is about: chat-ttft for region=eu, tenant_id=acme."""
    labels = ", ".join(f"{name}={figures.clean(value) or '(none)'}" for name, value in alert.labels.items())
    return f"{alert.slo} for {labels}" if labels else alert.slo


def headline(about: About) -> str:
    """What is wrong, in less than a line."""
    return KINDS[about.alert.kind].headline(about) if about.alert.is_open else _over(about)


def _status(notification: Notification) -> str:
    test = "TEST, " if notification.is_test else ""
    if notification.action is Action.RESOLVE:
        return f"{test}RESOLVED"
    severity, was = notification.severity, notification.was
    return f"{test}{severity.name}{f', was {was.name}' if was not in {Severity.NONE, severity} else ''}"


# -- what each kind says first
def _burns(about: About) -> str:
    if about.is_composed or about.bad_share is None:
        return f"the error budget burns at {figures.times(about.alert.long_burn_rate)}{_then_gone(about)}"
    bad = f"{figures.share(about.bad_share)} of {about.context.noun} bad"
    return f"{bad}, {about.allowed} allowed{_then_gone(about)}"


def _then_gone(about: About) -> str:
    """The end of a headline: when there is nothing left."""
    left, rest_s = about.alert.budget_remaining_ratio, about.alert.time_to_exhaustion_s
    if left is not None and left <= 0:
        return "; the budget is overspent"
    return "" if rest_s is None else f"; budget gone in {figures.lasting(rest_s)}"


def _is_silent(about: About) -> str:
    del about
    return "no data; no source sends events, so nothing is judged"


def _is_spent(about: About) -> str:
    step = about.alert.burn_rate_factor
    if step >= 1:
        return f"the error budget of {about.long} is spent"
    return f"{figures.share(step)} of the error budget of {about.long} is spent{_then_gone(about)}"


def _is_at_risk(about: About) -> str:
    step = about.alert.burn_rate_factor
    if step >= 1:
        return f"the SLA is missed: its whole budget of {about.long} is spent"
    return f"the SLA is at risk: {figures.share(step)} of its budget of {about.long} is spent{_then_gone(about)}"


def _says(about: About) -> str:
    """What is wrong with Burnline itself: whoever told of it has said so."""
    return about.alert.reason.partition(": ")[2] or about.alert.reason


def _is_exceeded(about: About) -> str:
    return f"the quota is exceeded: {_used(about)}"


def _used(about: About) -> str:
    """Of a quota: good is what was used of it, bad what was used beyond it, target what may be, in one long window."""
    alert = about.alert
    return f"{alert.long_good + alert.long_bad:,} {alert.metric} in {about.long}, where {alert.target:,.0f} may be"


def _over(about: About) -> str:
    """After how long, and why, in the judge's own words."""
    why = about.alert.reason.partition(" is over: ")[2]
    return f"over after {about.lasted}{f': {why}' if why else ''}"


# -- what happened
def _counts(about: About) -> list[str]:
    alert = about.alert
    allowed = "" if about.is_composed else f", where {about.allowed} may be"
    return [f"{about.long_counts}{allowed}", about.counted(alert.short_good, alert.short_bad, about.short)]


def _window_counts(about: About) -> list[str]:
    return [f"{about.long_counts}{'' if about.is_composed else f', where {about.allowed} may be'}"]


def _silence(about: About) -> list[str]:
    since = about.moment(about.alert.started_at)
    if not about.alert.is_open:
        return [f"nothing was judged from {since} on, for {about.lasted}: what happened meanwhile is not known"]
    return [
        f"no events for too long; from {since} on nothing is judged, neither good nor bad",
        "a total outage looks just like this: is anybody served?",
    ]


LATE = {
    "ingest": "figures and alerts are late by as much",
    "judge": "alerts and budgets are late by as much; counts are not",
    "store": "figures in ClickHouse are late by as much; alerts are not",
}


def _late(about: About) -> list[str]:
    if not about.alert.is_open:
        return ["nothing was lost, and nothing is judged twice"]
    late = LATE.get(about.alert.labels.get("step", ""), LATE["ingest"])
    return [late, "nothing is lost: what waits, waits in Kafka"]


def _missing(about: About) -> list[str]:
    if not about.alert.is_open:
        return ["what it had kept comes late, and is counted"]
    return [
        "SLOs are judged without it, as if nobody had asked there",
        "is a producer dead, or cut off from Kafka?",
    ]


def _untold(about: About) -> list[str]:
    if not about.alert.is_open:
        return ["what waited for it was told, in order"]
    return ["nobody hears of alerts there", "they wait in Kafka, in order, and are told when it answers"]


def _usage(about: About) -> list[str]:
    return [_used(about)]


class KindOfWords(NamedTuple):
    """What is particular to one kind."""

    headline: Callable[[About], str]
    happened: Callable[[About], list[str]]
    sql: str  # to ask more; SLO and INSTANCE stand for this alert's
    has_counts: bool = True
    is_sudden: bool = False  # what changed just before, and who is hit just now, may be why
    is_promised: bool = True  # an SLO's


_COUNTS_SQL = (
    "SELECT slice_start, good, bad, excluded FROM {table} WHERE slo = SLO AND instance = INSTANCE "
    "ORDER BY slice_start DESC LIMIT 120"
)
_HEALTH_SQL = "SELECT stage, topic, partition, watermark_lag_s, events FROM pipeline_health"
_STORY_SQL = (
    "SELECT ce_time, event, severity, reason FROM alerts WHERE slo = SLO AND instance = INSTANCE ORDER BY sequence"
)
KINDS = {
    Kind.BURN_RATE: KindOfWords(_burns, _counts, _COUNTS_SQL.format(table="slo_counts_1m"), is_sudden=True),
    Kind.NO_DATA: KindOfWords(_is_silent, _silence, _HEALTH_SQL, has_counts=False),
    Kind.BUDGET: KindOfWords(_is_spent, _window_counts, _COUNTS_SQL.format(table="slo_counts_1h")),
    Kind.SLA: KindOfWords(_is_at_risk, _window_counts, _COUNTS_SQL.format(table="slo_counts_1h")),
    Kind.LAGGING: KindOfWords(_says, _late, _HEALTH_SQL, has_counts=False, is_promised=False),
    Kind.STALE_SOURCE: KindOfWords(_says, _missing, _HEALTH_SQL, has_counts=False, is_promised=False),
    Kind.RECEIVER_DOWN: KindOfWords(_says, _untold, _STORY_SQL, has_counts=False, is_promised=False),
    Kind.QUOTA: KindOfWords(_is_exceeded, _usage, _STORY_SQL, has_counts=False, is_promised=False),
}


# -- the forms
def _short(about: About) -> list[str]:
    """Sentences after the headline."""
    alert, context, kind = about.alert, about.context, KINDS[about.alert.kind]
    said = [about.long_counts] if kind.has_counts else []
    if alert.is_open:
        said += [f"Changed {text}" for text in _changes(about)[:1]]
        said += [f"Hit most is {text}" for text in _hit(about)[:1] if context.hit]
        said += [f"Policy: {text}" for text in _policy(about)]
    return said


def _runbook(about: About) -> list[str]:
    """An address has no full stop behind it."""
    return [f"Runbook: {figures.line(about.alert.runbook, 300)}"] if about.alert.runbook else []


def _lines(about: About, notification: Notification) -> list[tuple[str, list[str]]]:
    """Everything that is known, by name."""
    alert, context, kind, is_open = about.alert, about.context, KINDS[about.alert.kind], about.alert.is_open
    traces = [figures.clean(each, 64) for each in alert.exemplar_trace_ids]
    return [
        ("Happened", kind.happened(about)),
        ("Budget", _budget(about) if kind.has_counts else []),
        ("Hit most", _hit(about) if is_open else []),
        ("Changed", _changes(about) if is_open else []),
        ("Policy", _policy(about) if is_open else []),
        ("SLA", _contract(about)),
        ("Since", [_since(about)]),
        ("Promised", [context.promise or _promise(about), *_given(context.description)] if kind.is_promised else []),
        ("Mind", _doubts(about)),
        ("Traces", [", ".join(traces)] if traces else []),
        ("Owner", _given(context.owner)),
        ("Also open", _named(each for each in notification.open if each.dedup_key != alert.dedup_key)),
        ("Also over", _named(each for each in notification.over if each.dedup_key != alert.dedup_key)),
        ("Runbook", _given(alert.runbook or "", 1_000)),
        ("Ask", [sql(alert)]),
    ]


def _given(text: str, most: int = 500) -> list[str]:
    return [figures.line(text, most)] if text else []


def _named(alerts: Iterable[AlertEvent]) -> list[str]:
    """Other alerts of the incident, a few by name."""
    found = [f"{who(each)} ({each.kind.name.lower().replace('_', ' ')})" for each in alerts]
    more = len(found) - OTHERS_MOST
    return [*found[:OTHERS_MOST], *([f"and {more:,} more"] if more > 0 else [])]


def _promise(about: About) -> str:
    """What the alert itself tells of the promise."""
    alert = about.alert
    return f"{figures.promised(alert.target)} of what {alert.metric} counts of {figures.clean(alert.service)}"


def _contract(about: About) -> list[str]:
    if about.alert.kind is not Kind.SLA:
        return []
    return [f"{figures.promised(about.alert.target)} by contract", *_given(about.context.consequence)]


def _policy(about: About) -> list[str]:
    return _given(about.context.policy) if KINDS[about.alert.kind].has_counts else []


def _since(about: About) -> str:
    started, now = about.alert.started_at, about.alert.window_end
    if not about.alert.is_open:
        return f"{about.moment(started)} until {about.moment(now)}, for {about.lasted}"
    return about.moment(started) if started == now else f"{about.moment(started)}, for {about.lasted}"


def _budget(about: About) -> list[str]:
    """How fast it goes, how much is left, and when it is gone."""
    alert = about.alert
    left, rest_s, rate = alert.budget_remaining_ratio, alert.time_to_exhaustion_s, alert.exhaustion_burn_rate
    said = []
    if alert.kind is Kind.BURN_RATE:
        long, short = figures.times(alert.long_burn_rate), figures.times(alert.short_burn_rate)
        said.append(f"burns at {long} over {about.long} and {short} over {about.short} (1x lasts a whole window)")
    if left is None:
        said.append("how much is left is not known: no data")
    else:
        said.append(f"{figures.share(left)} left" if left > 0 else f"overspent, {figures.share(1 - left, 3)} is gone")
    if rest_s and alert.is_open:
        at_rate = "" if rate is None else f" at {figures.times(rate)}"
        said.append(
            f"gone in {figures.lasting(rest_s)}{at_rate}, at {about.moment(alert.window_end + round(rest_s * 1e6))}"
        )
    return said


def _hit(about: About) -> list[str]:
    if not KINDS[about.alert.kind].is_sudden or not about.context.is_counted:
        return []
    return list(about.context.hit) or ["nobody more than others"]


def _changes(about: About) -> list[str]:
    """What changed, the newest first, and how long before the alert began."""
    if not KINDS[about.alert.kind].is_sudden:
        return []
    return [_change(about, each) for each in about.context.changes[:CHANGES_MOST]]


def _change(about: About, change: Change) -> str:
    before_s = (about.alert.started_at - change.at_us) / 1e6
    when = f"{figures.lasting(before_s)} before" if before_s >= 0 else f"{figures.lasting(-before_s)} after it began"
    return f"{when}, {about.moment(change.at_us)}: {change.text}"


def _doubts(about: About) -> list[str]:
    """What makes the figures less certain."""
    alert = about.alert
    if not KINDS[alert.kind].has_counts:
        return []
    said = ["there are gaps in the data: judged on what there is"] if alert.provisional else []
    if alert.late_ratio >= LATE_MATTERS:
        said.append(f"{figures.share(alert.late_ratio)} of events came too late to be judged in their second")
    share, burn = about.bad_share, alert.long_burn_rate
    is_whole = share is None or burn is None or burn >= 0.95 * share / (1 - alert.target)
    if not about.is_composed and not is_whole:
        said.append(f"younger than {about.long}: burn rates are against a whole window's traffic")
    return said


def sql(alert: AlertEvent) -> str:
    """What to ask ClickHouse of this alert."""
    text = KINDS[alert.kind].sql
    return text.replace("= SLO ", f"= {_quoted(alert.slo)} ").replace("= INSTANCE ", f"= {_quoted(alert.instance)} ")


def _quoted(value: str) -> str:
    """Write a string as ClickHouse reads it; a line stays a line."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    hidden = (char if char.isprintable() else "".join(f"\\x{byte:02X}" for byte in char.encode()) for char in escaped)
    return f"'{''.join(hidden)}'"


def notification_of(alert: AlertEvent, was: Severity = Severity.NONE) -> Notification:
    """One alert event as a notification of its own, for whoever has no incident."""
    action = {Notice.FIRED: Action.TRIGGER, Notice.UPDATED: Action.UPDATE, Notice.RESOLVED: Action.RESOLVE}[alert.event]
    now_open, over = ((alert,), ()) if alert.is_open else ((), (alert,))
    return Notification(
        alert.dedup_key, alert.id, action, alert.severity, alert, now_open, over, (), alert.started_at, was
    )
