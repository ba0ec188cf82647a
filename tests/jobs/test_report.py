"""`burnline report`: periods, what was kept and broken against oracles, and the files it writes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jobs.report.asking import Gathered, Row, edits_of, merged, with_silent
from jobs.report.asking import _left_out as left_out
from jobs.report.document import Heading, Items, Paragraph, Table, html, markdown
from jobs.report.findings import Tally, report_of
from jobs.report.period import DAY_S, PeriodError, period_of
from jobs.report.writing import blocks
from pipeline.cli import app
from pipeline.commands.children import environment
from pipeline.embedded import EmbeddedClickHouse
from tests.jobs import report_story as story
from tests.naive import report as naive
from tests.sinks.storing import settings_of


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


END_S = instant("2026-11-26T05:41:07")


@pytest.mark.parametrize(
    ("text", "zone", "start", "end"),
    [
        pytest.param("2026-10", "UTC", "2026-10-01", "2026-11-01", id="a month"),
        pytest.param("2026-10", "Europe/Berlin", "2026-09-30T22:00", "2026-10-31T23:00", id="clocks go back in it"),
        pytest.param("2026-02", "Asia/Kolkata", "2026-01-31T18:30", "2026-02-28T18:30", id="half an hour off"),
        pytest.param("2026-Q4", "UTC", "2026-10-01", "2027-01-01", id="a quarter"),
        pytest.param("2026", "UTC", "2026-01-01", "2027-01-01", id="a year"),
        pytest.param("30d", "UTC", "2026-10-27T05:00", "2026-11-26T05:00", id="days end with the data"),
        pytest.param("12h", "UTC", "2026-11-25T17:00", "2026-11-26T05:00", id="hours do too"),
        pytest.param("2026-10-05/2026-10-07", "UTC", "2026-10-05", "2026-10-07", id="from a day to another"),
    ],
)
def test_a_period_is_what_it_says_in_its_time_zone(text: str, zone: str, start: str, end: str) -> None:
    period = period_of(text, zone, END_S)
    assert (period.start_s, period.end_s) == (instant(start), instant(end))


@pytest.mark.parametrize(
    ("text", "zone"),
    [("october", "UTC"), ("2026-13", "UTC"), ("0d", "UTC"), ("2026-10", "Mars/Base"), ("2026-10-31/2026-10-01", "UTC"),
     ("2026-02-30/2026-03-01", "UTC"), ("900d", "UTC"), ("", "UTC"), ("2026-10", "../etc/passwd")],
)  # fmt: skip
def test_what_is_no_period_is_refused(text: str, zone: str) -> None:
    with pytest.raises(PeriodError):
        period_of(text, zone, END_S)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_merged_ranges_hold_the_same_and_never_touch(spans: list[tuple[int, int]]) -> None:
    spans = [(min(span), max(span)) for span in spans if span[0] != span[1]]
    found = merged(spans)
    assert naive.seconds(found) == naive.seconds(spans)
    assert all(before[1] < after[0] for before, after in pairwise(found))


@given(st.integers(0, 2_000), st.integers(0, 50), st.sampled_from(["0.9", "0.99", "0.999", "0.9999999"]))
@example(99, 1, "0.99")  # exactly what is promised is kept
def test_a_verdict_is_that_of_fractions(good: int, bad: int, target: str) -> None:
    tally = Tally(good, bad, float(target))
    assert tally.verdict == naive.verdict((good, bad), target)
    if good + bad:
        assert tally.budget_left == pytest.approx(float(naive.budget_left((good, bad), target)), rel=1e-9, abs=1e-9)
    else:
        assert (tally.budget_left, tally.compliance) == (None, None)


@given(st.lists(st.tuples(st.integers(-50, 150), st.none() | st.integers(1, 100)), max_size=8))
def test_time_with_an_open_alert_is_counted_once(alerts: list[tuple[int, int | None]]) -> None:
    from jobs.report.findings import _firing_s

    period = period_of("2026-10", "UTC", END_S)
    rows = [
        {"kind": "BURN_RATE", "fired_s": period.start_s + at, "resolved_s": lasts and period.start_s + at + lasts}
        for at, lasts in alerts
    ]
    open_s = naive.seconds((row["fired_s"], row["resolved_s"] or period.start_s + 200) for row in rows)
    within = open_s & set(range(period.start_s, period.start_s + 200))
    assert _firing_s(rows, period, period.start_s + 200) == len(within)


class Outline(HTMLParser):
    """Tags that are open, headings in order, ids; whether every tag is closed."""

    VOID = ("meta", "path", "use")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append(int(tag[1:]))
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_no_text_is_a_tag_or_a_cell(texts: list[str]) -> None:
    hostile = "<script>alert(1)</script> | `x` `"
    cells = tuple([*texts, hostile])
    blocks = [
        Heading(1, hostile),
        Paragraph(hostile),
        Items(cells),
        Table(hostile, tuple("abcdefgh"[: len(cells)]), (cells,)),
    ]
    found = outline(html(hostile, blocks))
    assert "script" not in found.seen
    rows = [line for line in markdown(blocks).splitlines() if line.startswith("| ") and "---" not in line]
    assert all(len(_unescaped_bars(row)) == len(cells) + 1 for row in rows)
    assert "<script" not in markdown(blocks).replace("\\<", "")


def _unescaped_bars(row: str) -> list[int]:
    return [at for at, char in enumerate(row) if char == "|" and (at == 0 or row[at - 1] != "\\")]


@pytest.fixture(scope="module")
def told(clickhouse: EmbeddedClickHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of somebody whose fleet had that month."""
    slo_dir = tmp_path_factory.mktemp("slo")
    with clickhouse.client() as client:
        story.tell(client, slo_dir)
    yield environment(settings_of(clickhouse).model_copy(update={"slo_dir": slo_dir}))


def run(env: dict[str, str], out: Path, *arguments: str, service: str = story.SERVICE) -> Any:
    command = ["report", "--period", story.PERIOD, "--service", service, "--out", str(out), *arguments]
    done = CliRunner().invoke(app, command, env=env)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


@pytest.mark.servers
def test_what_was_kept_and_broken_is_what_the_slices_add_up_to(told: dict[str, str], tmp_path: Path) -> None:
    found = run(told, tmp_path / "unwritten", "--json", "--dry-run")
    assert not (tmp_path / "unwritten").exists()
    slos = {each["slo"]: each for each in found["slos"]}
    chat = naive.added(count for region in ("region=eu", "region=us") for _, count in story.hours(region))
    batch = naive.added(count for _, count in story.hours(""))
    assert (slos[story.CHAT]["good"], slos[story.CHAT]["bad"]) == chat
    assert (slos[story.BATCH]["good"], slos[story.BATCH]["bad"]) == batch, "an edit that was replayed counts once"
    assert [(each["slo"], each["verdict"], each["sla"]) for each in found["slos"]] == [
        (story.CHAT, naive.verdict(chat, "0.999"), naive.verdict(chat, "0.99")),
        (story.IDLE, "no data", None), (story.BATCH, naive.verdict(batch, "0.99"), None),
    ]  # fmt: skip
    assert slos[story.CHAT]["budget_remaining_ratio"] == pytest.approx(float(naive.budget_left(chat, "0.999")))
    assert (slos[story.CHAT]["owner"], slos[story.BATCH]["owner"]) == ("serving", "nobody named")
    assert found["incidents"] == 1


@pytest.mark.servers
def test_the_same_period_gives_the_same_bytes_and_they_say_what_to_do(told: dict[str, str], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    told_once, told_again = run(told, first), run(told, second)
    assert told_once.replace("first", "second") == told_again
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert [(first / each).read_bytes() for each in files] == [(second / each).read_bytes() for each in files]
    text = (first / "report.md").read_text()
    for part in (
        "1 SLO kept, 1 broken, 1 without data; 1 incident.",
        "report-chat: The team said what it does now: releases of chat wait for its owner",
        "Look at region=eu first", "report-idle: Nothing was counted", "10 % credit", "m-big", "acme", "a drill",
        "cold start and model loading", r"200 of 1,000 took \<b\>longer\</b\> \| than a second", "1:00 h",
    ):  # fmt: skip
        assert part in text
    assert all(
        (first / "plots" / name).exists() for name in ("budgets.svg", "incidents.svg", "history-report-chat.svg")
    )


@pytest.mark.servers
def test_the_page_stands_alone_and_can_be_read_without_seeing_it(told: dict[str, str], tmp_path: Path) -> None:
    run(told, tmp_path)
    page = (tmp_path / "report.html").read_text()
    found = outline(page)
    assert found.headings[0] == 1 and found.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(found.headings))
    assert len(found.ids) == len(set(found.ids))
    assert not {"script", "link", "img", "iframe"} & found.seen
    assert "src=" not in page and "@import" not in page and "url(http" not in page
    assert page.count("<svg ") == page.count('role="img" aria-labelledby=') == page.count("<figcaption ") == 4
    assert page.count("<table>") == page.count("<caption>") and "prefers-color-scheme: dark" in page


@pytest.mark.servers
def test_planned_time_is_left_out_beside_the_figure_with_it(told: dict[str, str], tmp_path: Path) -> None:
    run(told, tmp_path)
    chat = naive.added(count for region in ("region=eu", "region=us") for _, count in story.hours(region))
    rest = chat[0] - 30 * 10, chat[1] - 190
    (row,) = [
        line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("| report-chat | broken")
    ]
    assert f"{rest[0] / sum(rest) * 100:.3f}".rstrip("0") in row.split("|")[-2]
    assert naive.verdict(rest, "0.999") in row.split("|")[-2]


@pytest.mark.servers
def test_what_is_silent_now_counts_as_it_was_promised_and_what_was_counted_otherwise_counts_once(
    told: dict[str, str], tmp_path: Path
) -> None:
    found = run(told, tmp_path, "--json", service=story.QUIET_SERVICE)
    slos = {each["slo"]: each for each in found["slos"]}
    counts = story.quiet_counts()
    regrouped = counts[story.REGROUPED]
    counts[story.REGROUPED] = {
        key: {hour: count for hour, count in hours.items() if (hour >= 5) == (key[0] == "a") and hour < 24 * 28}
        for key, hours in regrouped.items()
    }
    expected = {
        slo: naive.added(count for hours in every.values() for count in hours.values()) for slo, every in counts.items()
    }
    assert {slo: (each["good"], each["bad"]) for slo, each in slos.items()} == expected
    assert {each["verdict"] for each in slos.values()} == {"broken"}
    assert (slos[story.FILED]["owner"], slos[story.FILED]["target"]) == ("serving", 0.9)
    assert (slos[story.QUIET]["sla"], slos[story.QUIET]["sla_budget_remaining_ratio"]) == ("broken", pytest.approx(-4))
    text = (tmp_path / "report.md").read_text()
    assert "Look at request\\_model=old first: 100 %" in text and "4 ways of counting; 1 SLO edited" in text


CHAT_EU, CHAT_US = (900, 100), (99_000, 0)


def gathered(left_out: dict[tuple[str, str], tuple[int, int] | None] | None = None) -> Gathered:
    """A region that breaks SLO and SLA, beside one that is so much larger that both together keep them."""
    said = {"slo": "chat", "service": "chat", "target": 0.99, "sla_target": 0.95}
    regions = {"region=eu": CHAT_EU, "region=us": CHAT_US}
    return Gathered(
        END_S, [{**said, "instance": name, "labels": {"region": name[-2:]}} for name in regions], {"chat": "REQUESTS"},
        {("chat", name): {"good": good, "bad": bad, "minutes": 60} for name, (good, bad) in regions.items()},
        {"chat": 1}, {"chat": [(END_S - 3_600, 99_900, 100)]}, [], [], left_out or {}, {}, {},
    )  # fmt: skip


OCTOBER = period_of("2026-10", "UTC", END_S)


def test_a_contract_is_broken_when_one_instance_breaks_it() -> None:
    (finding,) = report_of(gathered(), OCTOBER, {}).findings
    assert (finding.verdict, finding.sla_verdict) == ("broken", naive.verdict(CHAT_EU, "0.95"))
    text = markdown(blocks(report_of(gathered(), OCTOBER, {})))
    left = float(naive.budget_left(CHAT_EU, "0.95"))
    assert f"| chat | broken | 95 % | region=eu | 90 % | {left * 100:.0f} % |" in text
    assert "1 SLA broken" in text and "The SLA is broken too" in text


def test_without_planned_time_it_is_kept_only_when_every_instance_is() -> None:
    (finding,) = report_of(gathered({("chat", "region=eu"): (0, 50)}), OCTOBER, {}).findings
    assert finding.corrected is not None and finding.corrected.verdict == "kept"
    assert finding.corrected_verdict == naive.verdict((CHAT_EU[0], CHAT_EU[1] - 50), "0.99") == "broken"
    text = markdown(blocks(report_of(gathered({("chat", "region=eu"): (0, 99)}), OCTOBER, {})))
    assert "It is kept when planned time is left out" in text


def test_planned_time_whose_minutes_are_gone_is_not_known() -> None:
    correction = {
        "correction": "move", "start_s": OCTOBER.start_s, "end_s": OCTOBER.start_s + 60, "reason": "", "who": "zoe",
        "where_labels": ["region"], "where_values": [["eu"]], "where_none_of": [[]], "where_prefixes": [[]],
    }  # fmt: skip
    promised = gathered().promised
    asked: list[tuple[int, int]] = []

    def ask(start: int, end: int, slos: list[str]) -> list[Row]:
        assert slos == ["chat"]
        asked.append((start, end))
        return [{"slo": "chat", "instance": "region=eu", "good": 3, "bad": 4}]

    kept = left_out(ask, OCTOBER, OCTOBER.start_s, promised, [correction])
    assert (kept, asked) == ({("chat", "region=eu"): (3, 4)}, [(OCTOBER.start_s, OCTOBER.start_s + 60)])
    found = left_out(ask, OCTOBER, OCTOBER.start_s + 1, promised, [correction])
    assert found == {("chat", "region=eu"): None} and len(asked) == 1
    everything = replace(gathered(found), corrections=[correction])
    text = markdown(blocks(report_of(everything, OCTOBER, {})))
    (row,) = [line for line in text.splitlines() if line.startswith("| chat | broken | 99 %")]
    assert row.endswith("| not known |") and "without older planned time is not known" in text


@given(st.sets(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "region=eu", r"region=e\,u"])), max_size=6))
def test_what_is_counted_and_of_a_known_slo_is_promised_with_its_labels(counted: set[tuple[str, str]]) -> None:
    judged = {"slo": "a", "instance": "region=us", "service": "s", "labels": {"region": "us"}, "target": 0.9}
    found = with_silent([judged], counted, {})
    assert judged in found
    assert {(row["slo"], row["instance"]) for row in found} == {each for each in counted if each[0] == "a"} | {
        ("a", "region=us")
    }
    labels = {"": {}, "region=eu": {"region": "eu"}, r"region=e\,u": {"region": "e,u"}, "region=us": {"region": "us"}}
    assert all((row["labels"], row["target"]) == (labels[row["instance"]], 0.9) for row in found)


def test_the_newest_way_of_counting_is_the_one_that_has_come_furthest() -> None:
    rows = [("a", "z", 7_200, True), ("a", "b", 10_800, True), ("a", "c", 3_600, True), ("b", "x", 1, True),
            ("c", "y", 1, True), ("c", "w", 9, False)]  # fmt: skip
    said = [dict(zip(("slo", "revision", "last_s", "is_in"), row, strict=True)) for row in rows]
    assert json.loads(edits_of(said)) == [["a", "c", 0], ["a", "z", 1], ["a", "b", 2]]


def test_without_any_slo_it_says_no_data() -> None:
    period = period_of("2026-10", "UTC", END_S)
    empty = Gathered(END_S, [], {}, {}, {}, {}, [], [], {}, {}, {})
    text = markdown(blocks(report_of(empty, period, {})))
    assert "No data: no SLO that fits" in text and "NaN" not in text


def test_a_period_that_is_not_over_says_where_its_data_ends() -> None:
    period = period_of("2026-11", "UTC", END_S)
    empty = Gathered(END_S, [], {}, {}, {}, {}, [], [], {}, {}, {})
    assert "not over, or its data ends early: at 2026-11-26 05:41" in markdown(blocks(report_of(empty, period, {})))
    assert period.length_s == 30 * DAY_S and timedelta(seconds=END_S - period.start_s).days == 25


@pytest.mark.servers
@pytest.mark.parametrize("arguments", [["--period", "soon"], ["--zone", "Nowhere"]], ids=" ".join)
def test_a_period_that_is_none_is_a_usage_error(told: dict[str, str], arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["report", *arguments], env=told)
    assert done.exit_code == 2, done.output
