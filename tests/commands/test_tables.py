"""Tables on narrow terminals: no word is cut, and what is left out is said."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.alerts import alerts_table
from pipeline.commands.screen import Screen
from pipeline.commands.tables import Table
from tests.fleet_story import NOW

WORDS = st.text("abcdefgh", min_size=1, max_size=12)
CELLS = st.lists(WORDS, max_size=4).map(" ".join)


def printed(table: Table, width: int) -> str:
    out = io.StringIO()
    Screen(file=out, width=width, emoji=False, highlight=False).print(table)
    return out.getvalue()


@given(st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=4), st.integers(30, 120))
def test_no_word_is_cut_whatever_the_width(rows: list[list[str]], width: int) -> None:
    table = Table("one", "two", "three", "four")
    for row in rows:
        table.add_row(*row)
    text = printed(table, width)
    assert max(map(len, text.splitlines())) <= width
    for word in " ".join(" ".join(row) for row in rows).split():
        assert word in text


def narrow() -> Table:
    table = Table("SLO", "instance", "good", spare=["good"])
    table.add_row("chat-ttft", "request_model=llama-3.3-70b", "1,109,293")
    return table


@pytest.mark.parametrize(
    ("width", "shown", "missing"),
    [
        pytest.param(60, ["chat-ttft", "request_model=llama-3.3-70b", "1,109,293"], ["no room"], id="all of it"),
        pytest.param(50, ["chat-ttft", "request_model=llama-3.3-70b", "no room for good"], ["1,109"], id="no spare"),
        pytest.param(40, ["SLO       chat-ttft", "instance  request_model", "good      1,109,293"], ["┃"], id="turned"),
    ],
)
def test_what_is_spare_goes_first_and_then_a_row_stands_by_itself(
    width: int, shown: list[str], missing: list[str]
) -> None:
    text = printed(narrow(), width)
    assert all(part in text for part in shown)
    assert not any(part in text for part in missing)


def test_sentences_are_not_read_a_word_a_line_and_nothing_is_said_in_a_word() -> None:
    table = Table("name", "why", spare=["name"])
    table.add_row("n" * 20, "what burns is mended first")
    assert "what burns is mended" in printed(table, 40)
    assert printed(Table("name", "why"), 40) == "none\n"


def test_alerts_can_be_told_apart_on_any_terminal() -> None:
    row = {"slo": "chat-ttft", "kind": "BURN_RATE", "severity": "CRITICAL", "fired_at": NOW, "resolved_at": None,
           "peak_burn_rate": 28.8, "detection_delay_ms": 840.0, "acknowledged_by": "", "notes": [],
           "exemplar_trace_ids": ["4bf92f3577b34da6a3ce929d0e0e4736"]}  # fmt: skip
    found = [row | {"instance": f"region={region},request_model=llama-3.3-70b"} for region in ("eu-west", "us-east")]
    for width in (60, 80, 120, 160):
        text = printed(alerts_table(found), width)
        assert "region=eu-west" in text and "region=us-east" in text and text.count("critical") == 2
