"""The demo waits for a slow machine, and not for what does not come; its summary has no NaN."""

import io
from itertools import chain, count, repeat

import pytest

from jobs.demo.course import SUMMARY, patiently
from jobs.demo.show import figure, sql_table
from pipeline.commands.screen import Screen
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER


def test_what_moves_is_waited_for_however_long_and_what_stands_still_is_given_up() -> None:
    moving = count(1)
    assert patiently(lambda: next(moving), lambda seen: seen == 9, patience_s=0.001) == 9
    stuck = chain([1, 2], repeat(3))
    assert patiently(lambda: next(stuck), lambda seen: seen == 9, patience_s=0.001) == 3


def test_what_nobody_measured_is_no_data_in_the_summary() -> None:
    out = io.StringIO()
    rows = [("embed", 3, [None, None, None], float("nan")), ("chat", 4_000, [0.029, 0.071, 0.122], 1.5)]
    Screen(file=out, width=100).print(sql_table("Latency", ["model", "requests", "ttft_s", "burn"], rows))
    text = out.getvalue()
    assert "0.029 / 0.071 / 0.122" in text and "nan" not in text and text.count("no data") == 2


def test_an_alert_of_a_budget_says_what_share_is_spent() -> None:
    burnt = {"burn_rate_factor": 0.75, "long_burn_rate": 0.75, "short_burn_rate": None}
    assert figure(burnt | {"kind": "BUDGET"}) == "75% spent"
    assert figure(burnt | {"kind": "BURN_RATE"}) == "0.8x / no data"


@pytest.mark.servers
def test_the_summary_asks_what_a_reader_may_ask(clickhouse: EmbeddedClickHouse) -> None:
    with clickhouse.client(READER) as client:
        for sql in SUMMARY.values():
            client.execute(sql)
