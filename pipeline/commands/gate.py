"""`burnline gate SERVICE`: may something be changed now? For pipelines by its exit code, for people in words.

0: open, and caution unless --strict; 1: frozen, or not known unless --allow-unknown, or nobody answers; 2: the question
cannot be asked, as of a service that no SLO is about.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.alerts_silence import moment
from pipeline.commands.fleet import labelled
from pipeline.commands.screen import screen
from pipeline.commands.status import ask, freshness, question
from pipeline.commands.tables import Table
from pipeline.commands.usable import usable
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.controls.gate import Decision, Policy

PAUSE_S = 10.0  #: between two looks of --wait
COLOURS = {"open": "green", "caution": "yellow", "frozen": "bold red"}


def gate(
    service: Annotated[str, typer.Argument(help="which service, as its SLOs name it")],
    policy: Annotated[
        Path | None, typer.Option(help="file of rules; BURNLINE_GATE_POLICY, or the shipped ones")
    ] = None,
    at: Annotated[str, typer.Option(help="at which time of the week, such as 2026-11-27T16:00Z; now by default")] = "",
    wait: Annotated[str, typer.Option(help="wait so long for it to open, such as 10m")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="caution fails too")] = False,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="what is not known is as any caution, and does not fail")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Say whether a service may be changed now: open, caution or frozen, and why.

    The first rule of the policy that holds decides for each SLO instance, the worst instance for the service. What is
    unknown is never open: instances without data, SLOs never judged, judgements that are not of now. Exit code 0: open,
    and caution unless --strict; 1: frozen, and unknown unless --allow-unknown.

    \b
    burnline gate chat && ./deploy.sh
    burnline gate chat --allow-unknown         a new service, which has no traffic yet
    burnline gate chat --strict --wait 10m     waits until nothing speaks against it
    burnline gate chat --at 2026-11-27T16:00Z  on Friday afternoon, if all else stays as it is
    """
    rules, when = _policy(policy), moment("--at", at) if at else None
    wait_s = _seconds(wait) if wait else 0.0
    most = 0 if strict else 1
    look = partial(_look, service, rules, when)

    def is_enough(found: "Decision") -> bool:
        return found.verdict <= most and (allow_unknown or found.is_known)

    decision = waited(look, is_enough, partial(time.sleep, PAUSE_S), time.monotonic, wait_s)
    print_json(service, rules, decision) if as_json else _print(service, rules, decision)
    if not is_enough(decision):
        raise typer.Exit(1)


def waited(
    look: Callable[[], "Decision"],
    is_enough: Callable[["Decision"], bool],
    pause: Callable[[], None],
    now_s: Callable[[], float],
    wait_s: float,
) -> "Decision":
    """Look until it is enough, or the time is over. Who waits bears a server that goes away in between.

    Raises: typer.Exit with 1, after saying why, when the last look has no answer.
    """
    from pipeline.sinks.clickhouse import Refused, Unavailable

    until_s, found, trouble = now_s() + wait_s, None, ""
    while True:
        try:
            found, trouble = look(), ""
        except (Unavailable, Refused) as error:
            trouble = str(error)
        if (found is not None and not trouble and is_enough(found)) or now_s() >= until_s:
            break
        pause()
    if found is None or trouble:
        typer.echo(f"{trouble}\n  -> `burnline doctor` says what is wrong with the set-up", err=True)
        raise typer.Exit(1)
    return found


def _look(service: str, policy: "Policy", when: datetime | None) -> "Decision":
    """Ask what is known, and decide.

    Raises: Unavailable, Refused; typer.BadParameter for a service that no SLO is about, while there are others.
    """
    from pipeline.controls.comparison import ComparisonSpec, blames, compared
    from pipeline.controls.gate import decide, facts_of, minute_of_week, promised
    from pipeline.spec.scalars import listed, nearest

    found, slos = ask(question("gate"), service=service), promised(_services(), service)
    if not found and not slos:
        known = [row["service"] for row in ask(question("services"))]
        if known:
            meant = nearest(service, known)
            remedy = f"did you mean {meant}?" if meant else f"services are {listed(known[:20])}"
            raise typer.BadParameter(f"no SLO about {service!r} has been judged -> {remedy}", param_hint="SERVICE")
    staleness = freshness().staleness(Settings().trailing_s)
    minute = minute_of_week(when or datetime.now(UTC), policy.time_zone)
    spec = ComparisonSpec()
    blamed = blames(compared(spec, ask(question("comparison"), **spec.asked(service))))
    return decide(policy, [facts_of(row, staleness, blamed) for row in found], minute, slos)


def _services() -> dict[str, str]:
    """The services of each SLO that files hold here; none where there are no files."""
    from pipeline.controls.gate import services_of
    from pipeline.spec import load

    home = Settings().slo_dir
    return services_of(load([home]).told) if home.is_dir() else {}


def _policy(path: Path | None) -> "Policy":
    from pipeline.controls.gate_files import load

    with usable("the policy of the gate"):
        return load(path or Settings().gate_policy)


def _seconds(text: str) -> float:
    from pipeline.controls.files import seconds
    from pipeline.spec.problems import Refused

    try:
        return seconds(text)
    except Refused as refused:
        raise typer.BadParameter(f"{text!r} {refused.rule} -> {refused.remedy}", param_hint="--wait") from refused


def print_json(service: str, policy: "Policy", decision: "Decision") -> None:
    said = {"service": service, "verdict": decision.verdict.word, "is_known": decision.is_known, "policy": policy.file}
    typer.echo(json.dumps(said | {"reasons": [each.told for each in decision.reasons]}))


def _print(service: str, policy: "Policy", decision: "Decision") -> None:
    colour = COLOURS[decision.verdict.word]
    console = screen()
    console.print(f"[{colour}]{decision.verdict.word}[/{colour}]: {service}, by {policy.file}")
    table = Table("verdict", "SLO", "instance", "rule", "why")
    for each in decision.reasons:
        own = COLOURS[each.verdict.word]
        table.add_row(
            f"[{own}]{each.verdict.word}[/{own}]", each.slo or "-", labelled(each.instance), each.rule, each.text
        )
    console.print(table)
