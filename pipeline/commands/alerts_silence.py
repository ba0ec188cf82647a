"""`burnline alerts silence`, `silences` and `unsilence`: who is not told of what, until when, why, and who says so.

A silence is a row: the deliverer reads it within seconds and holds back what is new. Alerts are judged, written and
stored all the same.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import typer

from pipeline.commands.screen import harmless, screen
from pipeline.commands.status import Json, print_json, rows, shown, write
from pipeline.commands.tables import Table
from pipeline.periods import in_zone
from pipeline.series import parse_label_text
from pipeline.slo import Accepted, Selector

LONGEST = timedelta(days=31)  #: what is silent for longer should not alert at all: say so in its SLO's file
MATCHERS = "label=value, label!=value or label=prefix*"
#: labels that every alert has, beside its instance's and those of its SLO's file
OWN = ("slo", "service", "severity", "kind", "alertname", "instance")

LIST_SQL = """\
SELECT silence, is_in_force, starts_at, ends_at, reason, who, recorded_at, where_labels, where_values, where_none_of,
       where_prefixes
FROM silences WHERE {all:UInt8} OR ends_at > now64(6) ORDER BY ends_at, silence"""
OPEN_SQL = "SELECT slo, service, instance, kind, severity FROM alert_log WHERE isNull(resolved_at)"


class Condition(NamedTuple):
    """What is said of one label."""

    values: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    @property
    def accepted(self) -> Accepted:
        return self.values or Selector(self.none_of, self.prefixes)


Who = Annotated[str, typer.Option(help="who says so")]


def silence(
    matchers: Annotated[list[str], typer.Argument(help=f"{MATCHERS}; all must fit, of one label any")],
    reason: Annotated[str, typer.Option(help="why nobody is to be told")],
    who: Who,
    lasting: Annotated[str, typer.Option("--for", help="how long, such as 2h or 1d")] = "",
    until: Annotated[str, typer.Option(help="until when instead, such as 2026-11-26T18:00Z")] = "",
    start: Annotated[str, typer.Option("--from", help="from when on; now when it is not said")] = "",
    name: Annotated[str, typer.Option(help="its name; one is made up")] = "",
    as_json: Json = False,
) -> None:
    """Tell nobody of alerts that fit, until then; whoever was told of one is told of its end."""
    now = datetime.now(UTC)
    where = conditions(matchers)
    starts, ends = span(now, start, lasting, until)
    row = _row(name or f"s-{uuid.uuid4().hex[:8]}", starts, ends, word("--reason", reason), word("--who", who), where)
    write("silence_versions", row)
    now_open = _fitting(where)
    if as_json:
        print_json([{**row, "open": now_open}])
        return
    typer.echo(f"{row['silence']}: {said(where)}, until {shown(ends)} UTC: {reason}")
    for each in now_open:
        told = f"{each['slo']} {each['instance'] or '-'} ({each['kind'].lower().replace('_', ' ')})"
        typer.echo(harmless(f"  fires now: {told}"))


def silences(
    every: Annotated[bool, typer.Option("--all", help="past ones too")] = False,
    as_json: Json = False,
) -> None:
    """List silences: of what, from when until when, why and who says so."""
    found = rows(LIST_SQL, all=int(every))
    if as_json:
        print_json(found)
        return
    table = Table("silence", "state", "from", "until", "alerts with", "reason", "who")
    now = datetime.now(UTC)
    for row in found:
        state = "in force" if row["is_in_force"] else "to come" if row["starts_at"] > now else "over"
        table.add_row(
            row["silence"], state, shown(row["starts_at"]), shown(row["ends_at"]), said(_conditions_of(row)),
            row["reason"], row["who"],
        )  # fmt: skip
    screen().print(table)


def unsilence(
    name: Annotated[str, typer.Argument(help="name of the silence, as `burnline alerts silences` shows it")],
    who: Who,
    as_json: Json = False,
) -> None:
    """End a silence now: what still fires is told."""
    found = [row for row in rows(LIST_SQL, all=1) if row["silence"] == name]
    now = datetime.now(UTC)
    if not found or found[0]["ends_at"] <= now:
        known = ", ".join(row["silence"] for row in rows(LIST_SQL, all=0)) or "none"
        typer.echo(f"{name} {'is over already' if found else f'is no silence; there are: {known}'}", err=True)
        raise typer.Exit(1)
    (last,) = found
    reason = f"{last['reason']} (ended by {word('--who', who)})"
    row = _row(name, min(last["starts_at"], now), now, reason, last["who"], _conditions_of(last))
    row["recorded_at"] = max(row["recorded_at"], last["recorded_at"] + timedelta(microseconds=1))  # clocks differ
    write("silence_versions", row)
    if as_json:
        print_json([row])
    else:
        typer.echo(f"{name} is over: {said(_conditions_of(last))}")


def conditions(matchers: Sequence[str]) -> dict[str, Condition]:
    """Read matchers.

    Raises: typer.BadParameter, with what to write instead.
    """
    found: dict[str, Condition] = {}
    for text in matchers:
        label, equals, value = text.partition("=")
        is_not = label.endswith("!")
        label = label.removesuffix("!")
        if not equals or not label or not label.replace("_", "a").replace("-", "a").replace(".", "a").isalnum():
            raise typer.BadParameter(f"{text!r} is no matcher -> write {MATCHERS}", param_hint="MATCHERS")
        known = found.get(label, Condition())
        if is_not:
            known = known._replace(none_of=(*known.none_of, value))
        elif value.endswith("*"):
            known = known._replace(prefixes=(*known.prefixes, value[:-1]))
        else:
            known = known._replace(values=(*known.values, value))
        if known.values and (known.none_of or known.prefixes):
            other = "values it must not have" if known.none_of else "prefixes"
            raise typer.BadParameter(f"{label} has values and {other} -> say one of them", param_hint="MATCHERS")
        found[label] = known
    return found


def span(now: datetime, start: str, lasting: str, until: str) -> tuple[datetime, datetime]:
    """Read from when until when.

    Raises: typer.BadParameter.
    """
    from pipeline.spec import scalars
    from pipeline.spec.problems import Refused

    if bool(lasting) == bool(until):
        raise typer.BadParameter("say how long, or until when: one of --for and --until", param_hint="--for")
    starts = moment("--from", start) if start else now
    try:
        ends = starts + timedelta(microseconds=scalars.duration(lasting)) if lasting else moment("--until", until)
    except Refused as refused:
        raise typer.BadParameter(f"{lasting!r} {refused.rule} -> {refused.remedy}", param_hint="--for") from refused
    if not now < ends or not starts < ends:
        raise typer.BadParameter(f"it would end at {shown(ends)} UTC, before it begins", param_hint="--until")
    if ends - starts > LONGEST:
        raise typer.BadParameter(
            f"it would last longer than {LONGEST.days} d -> what is silent for so long should not alert: take the "
            "alerting out of its SLO's file",
            param_hint="--until",
        )
    return starts, ends


def moment(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time -> write 2026-11-26T18:00Z", param_hint=option) from error
    return in_zone(found)


def word(option: str, text: str) -> str:
    from pipeline.spec import scalars
    from pipeline.spec.problems import Refused

    try:
        return scalars.word(text)
    except Refused as refused:
        raise typer.BadParameter(f"{text!r} {refused.rule} -> {refused.remedy}", param_hint=option) from refused


def said(where: dict[str, Condition]) -> str:
    """Write conditions as they are given."""
    texts = []
    for label, condition in where.items():
        texts += [f"{label}={value}" for value in condition.values]
        texts += [f"{label}!={value}" for value in condition.none_of]
        texts += [f"{label}={prefix}*" for prefix in condition.prefixes]
    return " ".join(texts) or "every alert"


def _row(
    name: str, starts: datetime, ends: datetime, reason: str, who: str, where: dict[str, Condition]
) -> dict[str, Any]:
    return {
        "silence": name, "starts_at": starts, "ends_at": ends, "reason": reason, "who": who,
        "recorded_at": datetime.now(UTC), "where_labels": list(where),
        **{f"where_{part}": [list(getattr(each, part)) for each in where.values()] for part in Condition._fields},
    }  # fmt: skip


def _conditions_of(row: dict[str, Any]) -> dict[str, Condition]:
    parts = (row[f"where_{part}"] for part in Condition._fields)
    return {label: Condition(*map(tuple, each)) for label, *each in zip(row["where_labels"], *parts, strict=True)}


def _fitting(where: dict[str, Condition]) -> list[dict[str, Any]]:
    """Alerts that fire now and fit, as far as their own labels say: those of SLO files are known to the deliverer."""
    found = []
    for row in rows(OPEN_SQL):
        own = {"kind": row["kind"].lower().replace("_", "-"), "severity": row["severity"].lower()}
        named = {name: row[name] for name in ("slo", "service", "instance")}
        labels = {**parse_label_text(row["instance"]), **named, **own}
        if all(labels.get(label, "") in condition.accepted for label, condition in where.items()):
            found.append({name: row[name] for name in ("slo", "instance", "kind", "severity")})
    return found
