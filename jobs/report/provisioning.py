"""What to do about each service, in money and in budget: is it over-provisioned, under-provisioned, or neither?

Pure. Laws: who breaks a promise is never told to save; who keeps all of them with budget to spare is never told to buy;
where load is not what breaks a promise, more replicas are not advised. A month has 730 hours; what is not known is
said.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jobs.report.document import Block, Heading, Items, Paragraph, Table
from jobs.report.findings import BROKEN, Finding
from pipeline.controls.cost import MONTH_H
from pipeline.controls.costing import idle_ratio
from pipeline.delivery.words_figures import NO_DATA, share

Row = Mapping[str, Any]
OVER, UNDER, ELSEWHERE, RIGHT, UNKNOWN = (
    "over-provisioned",
    "under-provisioned",
    "not for want of room",
    "right",
    NO_DATA,
)
SPARE = 0.5  #: of a budget left at the end of a period: some of it may be spent on something
WORTH = 0.05  #: of what is paid: less is not worth a change

MONEY_SQL = """\
SELECT c.service AS service, sum(toInt128(c.cost_picousd)) AS metered_picousd,
    sum(toInt128(ifNull(c.paid_picousd, 0))) AS paid_picousd, sum(toInt128(ifNull(c.idle_picousd, 0))) AS idle_picousd,
    sumIf(toInt128(ifNull(c.paid_picousd, 0)), c.idle_picousd IS NOT NULL) AS split_picousd,
    uniqExact(c.slice_start) AS hours,
    uniqExactIf(c.slice_start, c.paid_picousd IS NOT NULL) AS paid_hours
FROM cost AS c
WHERE c.slice_start >= fromUnixTimestamp({start:Int64}) AND c.slice_start < fromUnixTimestamp({end:Int64})
GROUP BY service ORDER BY service"""

#: what the controls said last in the period
SIGNALS_SQL = """\
SELECT service, model, name, scope, state, value, inputs, details FROM signal_log
WHERE name IN ('capacity', 'frontier') AND evaluated_at >= fromUnixTimestamp({start:Int64})
    AND evaluated_at < fromUnixTimestamp({end:Int64})
ORDER BY service, model, name, scope, evaluated_at DESC
LIMIT 1 BY service, model, name, scope"""


class Step(NamedTuple):
    """One thing that could be done, and what it is worth a month: saved above 0, spent below."""

    text: str
    usd_a_month: float | None


class Provision(NamedTuple):
    """What a service should do. None: not known."""

    service: str
    verdict: str
    least_left: float | None  # of the budget of any of its SLOs
    broken: tuple[str, ...]  # SLOs
    paid_usd: float | None  # a month
    metered_usd: float | None
    idle_ratio: float | None
    steps: tuple[Step, ...]

    @property
    def told(self) -> dict[str, Any]:
        """As JSON says it."""
        return {**self._asdict(), "steps": [step._asdict() for step in self.steps]}


def provisions(findings: Iterable[Finding], money: Iterable[Row], signals: Iterable[Row]) -> tuple[Provision, ...]:
    """Advise every service that something is promised of."""
    of_service: dict[str, list[Finding]] = {}
    for finding in findings:
        of_service.setdefault(finding.service, []).append(finding)
    paid, said = {row["service"]: row for row in money}, list(signals)
    return tuple(
        _provision(service, some, paid.get(service), [row for row in said if row["service"] == service])
        for service, some in sorted(of_service.items())
    )


def _provision(service: str, findings: Sequence[Finding], money: Row | None, signals: Sequence[Row]) -> Provision:
    left = [f.least_left for f in findings if f.is_told and f.least_left is not None]
    broken = tuple(f.slo for f in findings if f.verdict == BROKEN)
    paid = _a_month(money, "paid_picousd", "paid_hours")
    found = Provision(
        service, UNKNOWN, min(left, default=None), broken, paid, _a_month(money, "metered_picousd", "hours"),
        idle_ratio(money) if money else None, (),
    )  # fmt: skip
    if broken:
        more = tuple(_more(paid, signals))
        return found._replace(verdict=UNDER if more else ELSEWHERE, steps=more or (_elsewhere(signals),))
    if found.least_left is None:
        return found
    less = tuple(_less(paid, signals)) if found.least_left >= SPARE else ()
    return found._replace(verdict=OVER if less else RIGHT, steps=less)


def _a_month(money: Row | None, amount: str, hours: str) -> float | None:
    if money is None or not money[amount] or not money[hours]:
        return None
    usd: float = money[amount] / 1e12 / money[hours] * MONTH_H
    return usd


def headroom(signals: Iterable[Row]) -> float | None:
    """The least room of any model whose peak is known, all its variants together."""
    known: list[float] = [
        row["inputs"]["headroom_ratio"]
        for row in signals
        if row["name"] == "capacity" and not row["scope"] and "headroom_ratio" in row["inputs"]
    ]
    return min(known, default=None)


def _less(paid: float | None, signals: Sequence[Row]) -> Iterator[Step]:
    """What would save, the most first."""
    steps = []
    room = headroom(signals)
    if room is not None and room / (1 + room) > WORTH:
        part = room / (1 + room)
        saves = None if paid is None else paid * part
        steps.append(
            Step(f"its replicas bear the peak and a fifth {1 + room:.2f} times: {share(part)} could go", saves)
        )
    for row in signals:
        if row["name"] == "frontier" and (step := _cheaper(row)) is not None:
            steps.append(step)
    yield from sorted(steps, key=lambda step: -(step.usd_a_month or 0))


def _cheaper(row: Row) -> Step | None:
    inputs, details = row["inputs"], row["details"]
    which, hourly = f"{row['model']} on {row['scope']}", inputs.get("usd_an_hour", 0.0)
    if row["state"] == "dominated" and (row["value"] or 0) > WORTH:
        saves = row["value"] * hourly * MONTH_H
        return Step(f"{which}: {details['beaten_by']} is nowhere worse, and {share(row['value'])} cheaper", saves)
    now, next_ = inputs.get("usd_per_1k_tokens"), inputs.get("looser_usd_per_1k_tokens")
    if row["state"] != "on_frontier" or not now or next_ is None or 1 - next_ / now <= WORTH:
        return None
    slower = f", with P99 of {inputs['looser_p99_us'] / 1000:,.0f} ms" if "looser_p99_us" in inputs else ""
    text = f"{which}: {details['looser']} is {share(1 - next_ / now)} cheaper{slower}: there is budget for it"
    return Step(text, (1 - next_ / now) * hourly * MONTH_H)


def _more(paid: float | None, signals: Sequence[Row]) -> Iterator[Step]:
    """What would mend a promise that load breaks."""
    room = headroom(signals)
    if room is not None and -1 < room < 0:
        part = 1 / (1 + room) - 1
        spends = None if paid is None else -paid * part
        yield Step(f"its replicas do not bear the peak and a fifth: {share(part)} more are needed", spends)
    for row in signals:
        inputs, details = row["inputs"], row["details"]
        now, next_ = inputs.get("usd_per_1k_tokens"), inputs.get("stricter_usd_per_1k_tokens")
        if row["name"] == "frontier" and row["state"] == "breaking" and now and next_ is not None:
            spends = (1 - next_ / now) * inputs.get("usd_an_hour", 0.0) * MONTH_H
            yield Step(
                f"{row['model']} on {row['scope']} breaks its objectives: {details['stricter']} is faster", spends
            )


def _elsewhere(signals: Sequence[Row]) -> Step:
    if headroom(signals) is None:
        return Step("whether load breaks it is not known: `burnline capacity` says what it needs", None)
    return Step("its replicas bear the peak and a fifth: look at failures and changes, not at capacity", None)


# -- in the report
def blocks(found: Sequence[Provision]) -> Iterator[Block]:
    """The section."""
    if not found:
        return
    yield Heading(2, "Too much or too little")
    if all(each.paid_usd is None and each.metered_usd is None for each in found):
        yield Paragraph(
            "What this costs is not known: no event carries a cost, and no snapshot says what replicas cost."
        )
    columns = (
        "service",
        "verdict",
        "least budget left ",
        "paid a month ",
        "idle ",
        "metered a month ",
        "worth a month ",
    )
    yield Table("Budget and money of each service; a month has 730 hours", columns, tuple(map(_row, found)))
    texts = tuple(f"{each.service}: {step.text}{_worth(step)}." for each in found for step in each.steps)
    if texts:
        yield Items(texts)


def _row(each: Provision) -> tuple[str, ...]:
    worth = [step.usd_a_month for step in each.steps if step.usd_a_month is not None]
    return (
        each.service, each.verdict, share(each.least_left, 3), _usd(each.paid_usd), share(each.idle_ratio),
        _usd(each.metered_usd), f"{max(worth, key=abs):+,.0f} USD" if worth else "-",
    )  # fmt: skip


def _usd(amount: float | None) -> str:
    return NO_DATA if amount is None else f"{amount:,.0f} USD"


def _worth(step: Step) -> str:
    if step.usd_a_month is None:
        return ""
    return f", {'saves' if step.usd_a_month > 0 else 'costs'} {abs(step.usd_a_month):,.0f} USD a month"
