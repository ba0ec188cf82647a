"""Contexts: what ClickHouse and SLO files know beside an alert. Never a reason to wait.

Blocking, for at most PATIENCE_S; whatever is not known by then is not said. A server that did not answer is not asked
again for REST_S, so that one which is away delays a single notification. Asked of the views that people read; what is
hit is measured over the alert's short window, which is what happens now.
"""

import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from typing import TYPE_CHECKING, Any

import structlog

from pipeline.alerts import Kind
from pipeline.changes import SCOPE
from pipeline.delivery.context import (
    NOTHING,
    Change,
    Context,
    Group,
    Recorded,
    change_of,
    first_seen,
    of_slo,
    seen,
)
from pipeline.delivery.notification import AlertEvent
from pipeline.series import BASE_LABELS
from pipeline.settings import SettingsError
from pipeline.sinks.clickhouse import FAILURES, client, said
from pipeline.sli import METRICS
from pipeline.sli import Kind as Measured

if TYPE_CHECKING:
    from clickhouse_driver import Client

    from pipeline.settings import Settings
    from pipeline.spec import Slo, SloSet

PATIENCE_S = 0.9  #: a page is late by no more than this
REST_S = 30.0
REMEMBERED = 256  #: events: each receiver asks for the same
HOUR_S, DAY_S, FINE_S = 3_600, 86_400, 1_800

log = structlog.get_logger()

LABELS = tuple(label for label in BASE_LABELS if label not in {"service", "vantage"})
NEW_LABELS = ("variant", "request_model", "region")  #: whose new values may be why; new tenants come all the time
SKETCHES = {Measured.E2E: "e2e", Measured.TTFT: "ttft", Measured.TPOT: "tpot"}


def _pairs(labels: tuple[str, ...]) -> str:
    names = ", ".join(f"'{label}'" for label in labels)
    return f"ARRAY JOIN [{names}] AS label, [{', '.join(f'toString({label})' for label in labels)}] AS value"


#: failures are those outcomes that the definitions call bad; an SLO's own policy may differ, and words say "failures"
GROUPS_SQL = f"""\
SELECT label, value, requests, failed, p95_us, sum(requests) OVER (PARTITION BY label) AS requests_of_all,
       sum(failed) OVER (PARTITION BY label) AS failed_of_all
FROM (
    SELECT label, value, sum(requests) AS requests, sum(error) + sum(timeout) + sum(shed) AS failed, {{p95}} AS p95_us
    FROM {{view}} {_pairs(LABELS)}
    WHERE service = {{{{service:String}}}} AND slice_start >= fromUnixTimestamp({{{{since:Int64}}}})
      AND slice_start < fromUnixTimestamp({{{{until:Int64}}}}){{conditions}}
    GROUP BY label, value
)
ORDER BY if(p95_us > 0, p95_us, toFloat64(failed)) DESC LIMIT 20 BY label"""
NEW_SQL = f"""\
SELECT label, value, toUnixTimestamp64Micro(min(slice_start)) AS at_us FROM sli_1m {_pairs(NEW_LABELS)}
WHERE service = {{service:String}} AND slice_start >= fromUnixTimestamp({{since:Int64}})
  AND slice_start < fromUnixTimestamp({{until:Int64}})
  AND {{service:String}} IN (SELECT service FROM sli_1h WHERE service = {{service:String}}
    AND slice_start >= fromUnixTimestamp({{before:Int64}}) AND slice_start < fromUnixTimestamp({{since:Int64}}))
  AND (label, value) NOT IN (SELECT label, value FROM sli_1h {_pairs(NEW_LABELS)} WHERE service = {{service:String}}
    AND slice_start >= fromUnixTimestamp({{before:Int64}}) AND slice_start < fromUnixTimestamp({{since:Int64}}))
GROUP BY label, value ORDER BY at_us LIMIT 10"""
_SCOPES = "\n  AND ".join(
    f"({label} = '' OR empty({{{label}_is:Array(String)}}) OR has({{{label}_is:Array(String)}}, {label}))"
    for label in SCOPE
)
#: what somebody told of, and what was still being worked on when the alert began
TOLD_SQL = f"""\
SELECT toUnixTimestamp64Micro(at) AS at_us, kind, title, knobs, actor, url, {", ".join(SCOPE)} FROM config_changes
WHERE service = {{service:String}} AND at < fromUnixTimestamp({{until:Int64}})
  AND (at >= fromUnixTimestamp({{since:Int64}}) OR until > fromUnixTimestamp({{started:Int64}}))
  AND {_SCOPES}
ORDER BY at DESC, change_id LIMIT 10"""


class Contexts:
    """Contexts of alert events, of the SLOs in force. Not to be shared by threads."""

    def __init__(self, settings: "Settings", slos: "SloSet") -> None:
        """Nothing is asked yet."""
        self._settings, self._slos = settings, dict(slos.told)
        self._known: OrderedDict[str, Context] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="contexts")
        self._asked: Future[tuple[list[Group], tuple[Change, ...]]] | None = None
        self._rest_until_s = float("-inf")

    def of(self, event: AlertEvent) -> Context:
        """What is known beside an event."""
        if event.id not in self._known:
            slo = self._slos.get(event.slo)
            self._known[event.id] = self._seen(event, of_slo(slo) if slo else NOTHING, slo)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return self._known[event.id]

    def _seen(self, event: AlertEvent, context: Context, slo: "Slo | None") -> Context:
        """Ask the server, unless it is known not to answer."""
        is_known = event.metric in METRICS  # of one service; a composite is of many
        if not event.is_open or event.kind is not Kind.BURN_RATE or not is_known:
            return context
        if time.monotonic() < self._rest_until_s:
            return context
        if self._asked is not None and not self._asked.done():
            return context
        self._asked = self._thread.submit(_ask, self._settings, event, slo)
        try:
            return seen(context, *self._asked.result(PATIENCE_S))
        except (NoAnswer, SettingsError, *FAILURES) as error:
            log.info("nothing is known beside an alert", alert=event.id, error=said(error) or "no answer in time")
            self._rest_until_s = time.monotonic() + REST_S
            return context

    def close(self) -> None:
        """Let go of the thread; a question that is open is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _ask(settings: "Settings", event: AlertEvent, slo: "Slo | None") -> tuple[list[Group], tuple[Change, ...]]:
    """Raises: FAILURES."""
    limits = {"max_execution_time": PATIENCE_S, "server_side_params": 1}
    connection = client(settings, connect_timeout=PATIENCE_S, send_receive_timeout=2 * PATIENCE_S)
    try:
        return _groups(connection, event, slo, limits), _changes(connection, event, slo, limits)
    finally:
        connection.disconnect()


def _groups(connection: "Client", event: AlertEvent, slo: "Slo | None", limits: dict[str, Any]) -> list[Group]:
    until = event.window_end // 1_000_000
    since = until - max(event.short_window_s, 60)
    where = conditions(event, slo)
    kind = METRICS[event.metric].kind
    sketch, is_error = SKETCHES.get(kind), kind is Measured.ERRORS
    sql = GROUPS_SQL.format(
        view="sli" if until - since <= FINE_S else "sli_1m",
        p95=f"quantilesDDMerge(0.01, 0.5, 0.95, 0.99)({sketch}_state)[2]" if sketch else "toFloat64(0)",
        conditions="".join(f" AND {label} IN {{{label}_is:Array(String)}}" for label in where),
    )
    asked = {f"{label}_is": list(values) for label, values in where.items()}
    found = connection.execute(
        sql, {"service": event.service, "since": since, "until": until, **asked}, settings=limits
    )
    rows = [
        Group(label, value, requests, failed if is_error else None, _number(p95))
        for label, value, requests, failed, p95, *_ in found
    ]
    return [*rows, *_rest(found, is_error)]


def _number(p95_us: float) -> float | None:
    return p95_us if p95_us > 0 else None  # not a number without data


def _rest(found: list[tuple[Any, ...]], is_error: bool) -> list[Group]:
    """What the values that were not asked for come to, a group a label."""
    rest = []
    for label in {row[0] for row in found}:
        own = [row for row in found if row[0] == label]
        requests, failed = own[0][5] - sum(row[2] for row in own), own[0][6] - sum(row[3] for row in own)
        if requests:
            rest.append(Group(label, "", requests, failed if is_error else None, None, is_rest=True))
    return rest


def conditions(event: AlertEvent, slo: "Slo | None") -> dict[str, tuple[str, ...]]:
    """Which of the service's requests the SLO instance counts, as far as stored series can say."""
    indicator = slo.objective.indicator if slo else None
    chosen = {label: values for label, values in indicator.where if isinstance(values, tuple)} if indicator else {}
    if indicator and indicator.vantage:
        chosen["vantage"] = (indicator.vantage,)
    chosen |= {label: (value,) for label, value in event.labels.items()}
    return {label: values for label, values in chosen.items() if label in BASE_LABELS and label != "service"}


def _changes(connection: "Client", event: AlertEvent, slo: "Slo | None", limits: dict[str, Any]) -> tuple[Change, ...]:
    started = event.started_at // 1_000_000
    since = (started - HOUR_S) // HOUR_S * HOUR_S
    asked = {
        "service": event.service, "since": since, "before": since - DAY_S, "until": event.window_end // 1_000_000 + 1,
    }  # fmt: skip
    found = connection.execute(NEW_SQL, asked, settings=limits)
    recorded = _told(connection, event, slo, {**asked, "started": started}, limits)
    news = {(label, value): at_us for label, value, at_us in found}
    for each in recorded:  # its own first requests are no news beside it
        for scope in each.scope:
            news.pop(scope, None)
    return (*map(change_of, recorded), *first_seen(news, since * 1_000_000))


def _told(
    connection: "Client", event: AlertEvent, slo: "Slo | None", asked: dict[str, Any], limits: dict[str, Any]
) -> list[Recorded]:
    where = conditions(event, slo)
    scopes = {f"{label}_is": list(where.get(label, ())) for label in SCOPE}
    found = connection.execute(TOLD_SQL, {**asked, **scopes}, settings=limits)
    return [
        Recorded(
            at_us, kind, title, knobs, actor, url, tuple(pair for pair in zip(SCOPE, scope, strict=True) if pair[1])
        )
        for at_us, kind, title, knobs, actor, url, *scope in found
    ]
