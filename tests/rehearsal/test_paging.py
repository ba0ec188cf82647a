"""Law: a page is right when a marked incident has it; an incident is found by its first page."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import Severity
from pipeline.rehearsal.paging import AFTERWARDS_S, Incident, Page, incidents_of, pages_of, weigh
from pipeline.rehearsal.playing import Told


def told(*events: tuple[int, str, str]) -> list[Told]:
    return [Told(at, event, severity, "BURN_RATE", None, None) for at, event, severity in events]


@pytest.mark.parametrize(
    ("events", "pages"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([(10, "FIRED", "CRITICAL"), (90, "RESOLVED", "CRITICAL")], [("CRITICAL", 10, 90)], id="one"),
        pytest.param([(10, "FIRED", "WARNING"), (90, "RESOLVED", "WARNING")], [], id="not severe enough"),
        pytest.param(
            [(10, "FIRED", "WARNING"), (30, "UPDATED", "CRITICAL"), (60, "UPDATED", "WARNING"),
             (90, "RESOLVED", "WARNING")],
            [("CRITICAL", 30, 90)],
            id="escalated: it pages from then on, once",
        ),
        pytest.param([(10, "FIRED", "CRITICAL")], [("CRITICAL", 10, None)], id="still open"),
        pytest.param([(10, "RESOLVED", "CRITICAL")], [], id="began before"),
        pytest.param(
            [(1, "FIRED", "CRITICAL"), (2, "RESOLVED", "CRITICAL"), (3, "FIRED", "CRITICAL"),
             (4, "RESOLVED", "CRITICAL")],
            [("CRITICAL", 1, 2), ("CRITICAL", 3, 4)],
            id="twice",
        ),
    ],
)  # fmt: skip
def test_events_make_pages(events: list[tuple[int, str, str]], pages: list[tuple[str, int, int | None]]) -> None:
    assert pages_of("i", told(*events), Severity.CRITICAL) == [Page("i", *page) for page in pages]


@pytest.mark.parametrize(
    ("fired", "resolved", "has"),
    [
        pytest.param(100, 300, True, id="within"),
        pytest.param(0, 101, True, id="open since before"),
        pytest.param(0, 100, False, id="over when it began"),
        pytest.param(199 + AFTERWARDS_S, None, True, id="a little later"),
        pytest.param(200 + AFTERWARDS_S, None, False, id="too late"),
    ],
)
def test_what_belongs_to_an_incident(fired: int, resolved: int | None, has: bool) -> None:
    assert Incident("power", 100, 200).has(Page("", "CRITICAL", fired, resolved)) is has


def test_precision_recall_and_minutes_to_detect() -> None:
    incidents = [Incident("a", 1_000, 2_000), Incident("b", 10_000, 11_000), Incident("c", 50_000, 51_000)]
    pages = [
        Page("y", "CRITICAL", 1_300, 2_100),
        Page("x", "CRITICAL", 1_240, 2_000),
        Page("x", "CRITICAL", 30_000, None),
    ]
    weighed = weigh(pages[:2], incidents[:2])
    assert (weighed.precision, weighed.recall, weighed.detection_s) == (1.0, 0.5, [240])
    assert [each.after_s for each in weighed.found] == [240, None]
    weighed = weigh([*pages[:2], Page("z", "CRITICAL", 30_000, 30_060)], incidents)
    assert weighed.precision == pytest.approx(2 / 3)
    assert weighed.recall == pytest.approx(1 / 3)


def test_without_pages_or_without_marks_there_is_no_precision() -> None:
    assert weigh([], [Incident("a", 0, 1)]).precision is None
    assert weigh([Page("", "CRITICAL", 0, 1)], []).precision is None
    assert weigh([], []).recall is None


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 2_000)), max_size=8),
       st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 500)), max_size=5))  # fmt: skip
@settings(max_examples=50)
def test_whatever_is_weighed_is_counted_once(fired: list[tuple[int, int]], marked: list[tuple[int, int]]) -> None:
    pages = [Page(str(i), "CRITICAL", at, at + length) for i, (at, length) in enumerate(fired)]
    incidents = [Incident(str(i), at, at + length) for i, (at, length) in enumerate(marked)]
    weighed = weigh(pages, incidents)
    assert sorted(weighed.pages) == sorted(pages)
    assert [each.incident for each in weighed.found] == incidents
    for incident, after_s in weighed.found:
        seconds = range(incident.start_s, incident.end_s + AFTERWARDS_S)
        opened = [p.fired_s for p in pages if any(p.fired_s <= s < p.resolved_s for s in seconds)]  # type: ignore[operator]
        assert after_s == (max(min(opened) - incident.start_s, 0) if opened else None)


def test_incidents_are_read_of_csv_and_yaml() -> None:
    expected = [Incident("power", 1_795_744_800, 1_795_746_300, "chat"), Incident("incident 2", 60, 120)]
    csv = (
        "start,end,name,slo\n2026-11-27T02:00Z,2026-11-27T02:25+00:00,power,chat\n1970-01-01T00:01,1970-01-01 00:02,,\n"
    )
    yaml = (
        "- {start: 2026-11-27T02:00Z, end: 2026-11-27 02:25:00, name: power, slo: chat}\n"
        "- {start: '1970-01-01T00:01', end: '1970-01-01T00:02'}\n"
    )
    assert incidents_of(csv, is_csv=True) == expected
    assert incidents_of(yaml, is_csv=False) == expected


@pytest.mark.parametrize(
    ("text", "is_csv", "said"),
    [
        pytest.param("begin,end\n1,2\n", True, "incident 1 must have start and end", id="another column"),
        pytest.param(
            "start,end\nsoon,2026-01-01\n", True, "incident 1 has a start that is no time: 'soon'", id="no time"
        ),
        pytest.param("start,end\n2026-01-02,2026-01-01\n", True, "incident 1 ends before it starts", id="backwards"),
        pytest.param("a: b", False, "it must be a list", id="no list"),
        pytest.param("- [", False, "it is no YAML", id="no YAML"),
        pytest.param("[" * 5_000, False, "deeper than", id="a bomb"),
        pytest.param("- 3", False, "incident 1 must have start and end", id="no mapping"),
    ],
)
def test_what_is_wrong_with_incidents_is_said(text: str, is_csv: bool, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        incidents_of(text, is_csv)
