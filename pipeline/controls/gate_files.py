"""Policies of the deploy gate: YAML to a table of rules; or to problems, all of them at once.

Pure. Read as SLO files are: unknown keys, rules that nothing reaches, and stricter rules below milder ones are problems
with their place and a remedy.
"""

import re
from pathlib import Path

import schemas
from pipeline.controls.gate import DAY, DAYS, Policy, Rule, Span, Verdict
from pipeline.spec import calendars, scalars
from pipeline.spec.document import Report, only_document
from pipeline.spec.files import bytes_of
from pipeline.spec.problems import Refused, SpecError
from pipeline.spec.reading import Field, Language, Reading, read
from pipeline.spec.scalars import listed, one_of

DEFAULT = schemas.HOME / "gate" / "default.yaml"
RULES_MOST = 100
CONDITIONS = ("budgetAtMost", "burnAtLeast", "coverageAtMost", "alertAtLeast", "changeSpentAtLeast", "during")
_SPAN = re.compile(r"(?P<first>\w{3})(-(?P<last>\w{3}))?( (?P<from>\d\d:\d\d)-(?P<to>\d\d:\d\d))?", re.ASCII)
_WORDS = {verdict.word: verdict for verdict in Verdict}


def span(value: str) -> tuple[Span, ...]:
    """Read times of the week: Sat, Mon-Fri, Fri 15:00-24:00; of some days one after the other."""
    found = _SPAN.fullmatch(value)
    days = {day.lower(): number for number, day in enumerate(DAYS)}
    ends = [found[name].lower() for name in ("first", "last") if found[name]] if found else [""]
    if found is None or any(end not in days for end in ends):
        raise Refused(
            "must be days and hours of the week", f"write Fri 15:00-24:00, Mon-Fri or Sat; days are {listed(DAYS)}"
        )
    start, end = (_minutes(found["from"]), _minutes(found["to"])) if found["from"] else (0, DAY)
    if not start < end <= DAY:
        raise Refused(
            "must end behind its beginning, on the same day", "write 22:00-24:00, and 00:00-06:00 of the next day"
        )
    first, last = days[ends[0]], days[ends[-1]]
    return tuple(
        Span(day * DAY + start, day * DAY + end)
        for day in (number % 7 for number in range(first, first + (last - first) % 7 + 1))
    )


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if minutes > 59:
        raise Refused("must be a time of the day", "write 15:00")
    return hours * 60 + minutes


def _verdict(value: str) -> Verdict:
    return _WORDS[one_of(_WORDS)(value)]


def _unknown(value: str) -> Verdict:
    later = {"open": "what is unknown is never open: write caution, or frozen"}
    return _WORDS[one_of(("caution", "frozen"), later)(value)]


def _number(value: str) -> float:
    return float(scalars.fraction(scalars.share(value)))


def _factor(value: str) -> float:
    return float(scalars.fraction(scalars.factor(value)))


_R = "rules.#"
LANGUAGE = Language(
    fields={
        "apiVersion": Field(one_of(("burnline/v1",)), "write apiVersion: burnline/v1"),
        "kind": Field(one_of(("GatePolicy",)), "write kind: GatePolicy"),
        "source": Field(scalars.text, "write source: and who says so"),
        "timeZone": Field(calendars.zone),
        "unknown": Field(_unknown),
        f"{_R}.name": Field(scalars.name, "write name: budget-spent"),
        f"{_R}.verdict": Field(_verdict, "write verdict: open, caution or frozen"),
        f"{_R}.reason": Field(scalars.word, "write reason: in words, as whoever is held up reads it"),
        f"{_R}.budgetAtMost": Field(_number),
        f"{_R}.burnAtLeast": Field(_factor),
        f"{_R}.coverageAtMost": Field(_number),
        f"{_R}.alertAtLeast": Field(scalars.severity),
        f"{_R}.changeSpentAtLeast": Field(_number),
        f"{_R}.during": Field(span, many=True),
    },
    required={"rules": "write rules: [{name: otherwise, verdict: open, reason: nothing speaks against it}]"},
    items_max={"rules": RULES_MOST},
)


def load(path: Path | None) -> Policy:
    """Read a file; None: the policy that is shipped.

    Raises: SpecError with every problem.
    """
    if path is None:
        return parse("default", DEFAULT.read_bytes())
    return parse(str(path), bytes_of(path))


def parse(name: str, data: bytes) -> Policy:
    """Read a policy file.

    Raises: SpecError with every problem.
    """
    report = Report(name)
    policy = Policy(())
    if (node := only_document(data, report, "GatePolicy")) is not None:
        reading = read(LANGUAGE, node, report)
        policy = _built(reading, name)
        _check(reading, policy)
    if report.problems:
        raise SpecError(report.all())
    return policy


def _built(reading: Reading, name: str) -> Policy:
    rules = tuple(_rule(reading, f"rules[{index}]") for index in range(reading.lengths.get("rules", 0)))
    return Policy(
        rules, reading.get("unknown", Policy.unknown), reading.get("timeZone", Policy.time_zone),
        reading.get("source", ""), name,
    )  # fmt: skip


def _rule(reading: Reading, path: str) -> Rule:
    return Rule(
        name=reading.get(f"{path}.name", ""),
        verdict=reading.get(f"{path}.verdict", Verdict.OPEN),
        reason=reading.get(f"{path}.reason", ""),
        budget_at_most=reading.get(f"{path}.budgetAtMost"),
        burn_at_least=reading.get(f"{path}.burnAtLeast"),
        coverage_at_most=reading.get(f"{path}.coverageAtMost"),
        alert_at_least=reading.get(f"{path}.alertAtLeast"),
        change_spent_at_least=reading.get(f"{path}.changeSpentAtLeast"),
        during=tuple(each for spans in reading.get(f"{path}.during", ()) for each in spans),
    )


# -- rules that need more than one field
def _check(reading: Reading, policy: Policy) -> None:
    seen: set[str] = set()
    mildest, last = Verdict.FROZEN, len(policy.rules) - 1
    for index, rule in enumerate(policy.rules):
        path = f"rules[{index}]"
        if rule.name and rule.name in seen:
            reading.refuse(f"{path}.name", "is taken", "give it a name of its own")
        seen.add(rule.name)
        is_conditional = any(reading.is_given(f"{path}.{name}") for name in CONDITIONS)
        if index < last and not is_conditional:
            reading.refuse(path, "always holds: no rule below it is reached", "move it to the end", value="{…}")
        if index == last and is_conditional:
            remedy = "add a last rule without conditions, such as {name: otherwise, verdict: open, reason: ..}"
            reading.refuse(path, "must always hold: it is the last one", remedy, value="{…}")
        if reading.is_given(f"{path}.verdict") and rule.verdict > mildest:
            rule_text = f"is stricter than {mildest.word} of a rule above it, so that more budget could close the gate"
            reading.refuse(f"{path}.verdict", rule_text, f"move the rule above those of {mildest.word}")
        mildest = min(mildest, rule.verdict)
