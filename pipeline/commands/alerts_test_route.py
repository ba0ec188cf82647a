"""`burnline alerts test-route`: whom an alert with these labels would reach; with --send they are told, as a test."""

import asyncio
import json
import time
from typing import Annotated, Any

import typer

from pipeline.alerts import Kind, Severity
from pipeline.commands.screen import screen
from pipeline.commands.tables import Table
from pipeline.delivery.holding import Promised
from pipeline.delivery.matching import kind_name
from pipeline.delivery.notification import AlertEvent, Notification
from pipeline.delivery.routes import Receiver, Routes
from pipeline.settings import PREFIX, Settings

SEVERITIES = {severity.name.lower(): severity for severity in Severity if severity is not Severity.NONE}
KINDS = {kind_name(kind): kind for kind in Kind}
REASON = "this is a test of alert routes; nothing is wrong"


def test_route(
    labels: Annotated[
        list[str] | None, typer.Argument(help="labels of the alert, as region=eu; service and slo too")
    ] = None,
    severity: Annotated[str, typer.Option(help="info, warning or critical")] = "critical",
    kind: Annotated[str, typer.Option(help=", ".join(KINDS))] = kind_name(Kind.BURN_RATE),
    send: Annotated[bool, typer.Option("--send", help="tell them: triggered and resolved, marked as a test")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Say which receivers an alert with these labels would reach, and send nothing; with --send, tell them."""
    settings = Settings()
    known = _labels(labels or [])
    if severity not in SEVERITIES or kind not in KINDS:
        wanted = SEVERITIES if severity not in SEVERITIES else KINDS
        raise typer.BadParameter(f"use one of {', '.join(wanted)}")
    routes, promised = _routes(settings), _promised(settings)
    event = _event(known, SEVERITIES[severity], KINDS[kind])
    reached = routes.of(promised.labels_of(event), event.severity, event.kind)
    receivers = [each for each in routes.receivers if each.name in reached]
    answers = asyncio.run(_told(receivers, event, promised, settings.topic_prefix)) if send else {}
    if as_json:
        typer.echo(json.dumps([_row(each, answers) for each in receivers]))
    else:
        _show(receivers, answers, send)
    if any(not answer.startswith(("taken", "left out")) for answer in answers.values()):
        raise typer.Exit(1)


def _labels(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if wrong := [text for text, (_, sign, _) in zip(given, pairs, strict=True) if not sign]:
        raise typer.BadParameter(f"{wrong[0]!r} is no label: write name=value")
    return {name: value for name, _, value in pairs}


def _routes(settings: Settings) -> Routes:
    from pipeline.sinks.routes import routes_of
    from pipeline.spec import SpecError

    try:
        routes = routes_of(settings)
    except SpecError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if not routes.receivers:
        typer.echo(f"nobody is told of alerts: set {PREFIX}ALERT_ROUTES, or {PREFIX}ALERTMANAGER_URL", err=True)
        raise typer.Exit(1)
    return routes


def _promised(settings: Settings) -> Promised:
    """Labels of the SLO files, where there are some that can be read."""
    from pipeline.sinks.routes import promised
    from pipeline.spec import load

    return promised(load([settings.slo_dir]))


def _event(labels: dict[str, str], severity: Severity, kind: Kind) -> AlertEvent:
    """An alert of now that says it is a test."""
    now_us = time.time_ns() // 1000
    slo, service = labels.get("slo", "test"), labels.get("service", "test")
    own = {name: value for name, value in labels.items() if name not in {"slo", "service"}}
    return AlertEvent.of({
        "dedup_key": f"test|{slo}|{now_us}", "sequence": now_us // 1_000_000, "kind": kind.name, "slo": slo,
        "revision": "", "instance": ",".join(f"{name}={value}" for name, value in own.items()), "service": service,
        "labels": own, "event": "FIRED", "severity": severity.name, "metric": "error_rate", "target": 0.99,
        "burn_rate_factor": 10.0, "long_window_s": 3_600, "short_window_s": 300, "long_good": 900, "long_bad": 100,
        "short_good": 90, "short_bad": 10, "long_burn_rate": 10.0, "short_burn_rate": 10.0,
        "budget_remaining_ratio": None, "time_to_exhaustion_s": None, "exhaustion_burn_rate": None,
        "started_at": now_us, "window_end": now_us, "watermark": now_us, "evaluated_at": now_us, "late_ratio": 0.0,
        "provisional": False, "exemplar_trace_ids": [], "runbook": None, "reason": REASON,
    })  # fmt: skip


async def _told(receivers: list[Receiver], event: AlertEvent, promised: Promised, site: str) -> dict[str, str]:
    """Tell each receiver that it fired and is over; return what each answered."""
    return {each.name: await _tell(each, event, promised, site) for each in receivers}


async def _tell(receiver: Receiver, event: AlertEvent, promised: Promised, site: str) -> str:
    from pipeline.delivery.receivers import TYPES
    from pipeline.delivery.requests import Verdict
    from pipeline.settings import SettingsError
    from pipeline.sinks.receivers import Caller, Unreachable
    from pipeline.sinks.routes import sheet_of

    kind = TYPES[receiver.type]
    if not kind.is_http:
        return "left out: a topic is written by workers only"
    caller = Caller(receiver.allow)
    try:
        for notification in _notifications(event):
            answer = await caller.post(
                kind.form(notification, sheet_of(receiver, promised, site), time.time_ns() // 1000)
            )
            if kind.verdict(answer) is not Verdict.TAKEN:
                return f"{kind.verdict(answer).value}: {answer.said()}"
    except (Unreachable, SettingsError) as error:
        return f"not sent: {error}"
    finally:
        await caller.close()
    return "taken"


def _notifications(event: AlertEvent) -> list[Notification]:
    """A trigger and its resolve."""
    from dataclasses import replace

    from pipeline.alerts import Notice
    from pipeline.delivery.words import notification_of, words

    end_us = event.window_end + 1_000_000
    over = replace(event, event=Notice.RESOLVED, sequence=event.sequence + 1, window_end=end_us, watermark=end_us)
    tests = [replace(notification_of(each), is_test=True) for each in (event, over)]
    return [replace(each, words=words(each)) for each in tests]


def _row(receiver: Receiver, answers: dict[str, str]) -> dict[str, Any]:
    row = {"receiver": receiver.name, "type": receiver.type}
    return row | ({"answer": answers[receiver.name]} if receiver.name in answers else {})


def _show(receivers: list[Receiver], answers: dict[str, str], is_sent: bool) -> None:
    if not receivers:
        typer.echo("nobody: the route says so")
        return
    table = Table("receiver", "type", *(["answer"] if is_sent else []))
    for each in receivers:
        table.add_row(*(str(value) for value in _row(each, answers).values()))
    screen().print(table)
