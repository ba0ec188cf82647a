"""The language of rehearsal files, as tables, of the same make as that of SLO files.

    slos: [chat.yaml]              # beside this file; several tests, or one at the top of the file
    tests:
      - name: 15 % errors page after four minutes
        slo: chat-errors           # or {target: "0.999", preset: default, window: 30d, guards: {...}}
        begins: 2026-03-29 01:00   # second 0, in UTC; matters to calendars only
        history: 4d                # before second 0, quiet; or stretches
        stream: [{for: 10m, rate: 100, bad: 15}, {for: 30m, rate: 100}]
        expect: [{event: FIRED, severity: CRITICAL, at: 240s}]
        status: [{at: 10m, state: FIRING, burnRate: {1h: 25}}]

Alerts of a budget are expected with `kind: BUDGET` (or SLA), and compared where one of the kind is expected.
In place of `stream`, series of counts by `interval` (1m): good: 6000x9 5100x9 6000x29, bad: ..., excluded: ...
A composite has streams of its `members: {chat-ttft: {stream: [...]}, chat-errors: {good: ..., bad: ...}}`, all of the
same length; a member that is not named has no traffic. Tokens and cost: see `pipeline.rehearsal.sums`.
"""

import re

from pipeline.alerts import Kind, Notice, Severity, State
from pipeline.rehearsal import notation, sums
from pipeline.rehearsal.streams import COUNTS
from pipeline.spec import calendars, scalars
from pipeline.spec.problems import Refused
from pipeline.spec.reading import Field, Language
from pipeline.spec.scalars import UNITS_US, one_of

TESTS_MAX = 200
STRETCHES_MAX = 1_000
TEST_S_MAX = 62 * 86_400  # of one test, history included: some seconds of judging

_MOMENT_ZERO = re.compile(r"0(s|m|h|d)?", re.ASCII)
_FIGURE = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)


def moment(value: str) -> int:
    """Read whole seconds since second 0, or a length that may be none."""
    if _MOMENT_ZERO.fullmatch(value):
        return 0
    return scalars.window(value) // UNITS_US["s"]


def length(value: str) -> int:
    """Read whole seconds, one at least."""
    return scalars.window(value) // UNITS_US["s"]


def every(value: str) -> int:
    """Read the distance, in seconds, of the seconds that count."""
    found = scalars.count(value)
    if not 0 < found <= 86_400:
        raise Refused("must be 1 to 86400", "write 60, for each 60th second")
    return found


def figure(value: str) -> str:
    """Read a number to compare, to as many decimals as it has."""
    if not _FIGURE.fullmatch(value):
        raise Refused("must be a number with at most 9 decimals", "write 0.995")
    return value


def _window_name(value: str) -> str:
    length(value)
    return value


EVENT = one_of([notice.name for notice in Notice])
SEVERITY = one_of([severity.name for severity in Severity])
KIND = one_of([kind.name for kind in (Kind.BURN_RATE, Kind.BUDGET, Kind.SLA)])
STATE = one_of([state.name for state in State])
FIGURES = ("complianceRatio", "budgetRemainingRatio", "coverageRatio")


def _stretch(prefix: str) -> dict[str, Field]:
    return {
        f"{prefix}.#.for": Field(moment, "write for: 10m"),
        f"{prefix}.#.rate": Field(notation.rate),
        f"{prefix}.#.bad": Field(notation.rate),
        f"{prefix}.#.excluded": Field(notation.rate),
        **{f"{prefix}.#.{name}": Field(notation.rate) for name in sums.FIELDS},
        f"{prefix}.#.every": Field(every),
        f"{prefix}.#.late": Field(moment),
        f"{prefix}.#.silent": Field(scalars.boolean),
    }


def _test(p: str) -> dict[str, Field]:
    return {
        f"{p}name": Field(scalars.word),
        f"{p}slo": Field(scalars.name),
        f"{p}slo.target": Field(scalars.target, 'write target: "0.999"'),
        f"{p}slo.preset": Field(scalars.word),
        f"{p}slo.window": Field(scalars.window),
        f"{p}slo.guards.minEvents": Field(scalars.count),
        f"{p}slo.guards.minBad": Field(scalars.count),
        f"{p}slo.guards.minCoverage": Field(scalars.share),
        f"{p}begins": Field(calendars.local_time),
        f"{p}history": Field(moment),
        **_stretch(f"{p}history"),
        **_stretch(f"{p}stream"),
        **_stretch(f"{p}members.*.stream"),
        **{f"{p}members.*.{name}": Field(notation.series) for name in COUNTS},
        f"{p}repeat": Field(scalars.count),
        f"{p}interval": Field(length),
        **{f"{p}{name}": Field(notation.series) for name in COUNTS},
        f"{p}expect.#.event": Field(EVENT, "write event: FIRED"),
        f"{p}expect.#.severity": Field(SEVERITY, "write severity: CRITICAL"),
        f"{p}expect.#.at": Field(moment, "write at: 240s"),
        f"{p}expect.#.within": Field(moment),
        f"{p}expect.#.kind": Field(KIND),
        f"{p}status.#.at": Field(moment, "write at: 10m"),
        f"{p}status.#.state": Field(STATE),
        f"{p}status.#.severity": Field(SEVERITY),
        **{f"{p}status.#.{name}": Field(scalars.count) for name in COUNTS},
        **{f"{p}status.#.{name}": Field(figure) for name in FIGURES},
        f"{p}status.#.burnRate.*": Field(figure),
    }


def _language(p: str, more: dict[str, Field], required: dict[str, str]) -> Language:
    return Language(
        {**more, **_test(p)},
        required=required,
        keys={f"{p}status.#.burnRate": _window_name, f"{p}members": scalars.name},
        items_max={
            "tests": TESTS_MAX,
            **dict.fromkeys((f"{p}stream", f"{p}history", f"{p}members.*.stream"), STRETCHES_MAX),
        },
        may_be_empty=frozenset({f"{p}expect"}),
    )


EXPECT_NEEDED = "write expect: [{event: FIRED, severity: CRITICAL, at: 240s}], or expect: [] when nothing is to fire"
#: many tests, or one
SUITE = _language("tests.#.", {"slos": Field(scalars.word, many=True)}, {"tests": "write tests: [{slo: ...}]"})
SINGLE = _language("", {"slos": Field(scalars.word, many=True)}, {})
