"""Law: every kind of alert, open or over, says what a person at night needs; the unknown is left out, never zero."""

from dataclasses import replace
from itertools import product

import pytest

from pipeline.alerts import Kind, Notice, Severity
from pipeline.delivery.context import NOTHING
from pipeline.delivery.words import KINDS, LONG_MOST, SHORT_MOST, TITLE_MOST, notification_of, sql, words
from pipeline.notices import KINDS as JUDGED
from tests.delivery.golden import CASES, FILE, written
from tests.delivery.told import KNOWN, at_us, event, over, silent


def test_every_kind_of_alert_says_what_is_written_in_the_file() -> None:
    assert written() == FILE.read_text(encoding="utf-8")


def test_every_kind_has_words_and_a_text_in_the_file_for_its_beginning_and_its_end() -> None:
    assert set(KINDS) == set(Kind) == set(JUDGED)
    shown = {(alert.kind, alert.is_open) for alert, _, _ in CASES.values()}
    assert shown == set(product(Kind, (True, False)))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("notice", Notice)
@pytest.mark.parametrize("context", [NOTHING, KNOWN], ids=["alone", "in context"])
def test_nothing_breaks_a_line_or_grows_without_end(kind: Kind, notice: Notice, context: object) -> None:
    long = "word " * 5_000
    alert = event(kind=kind.name, event=notice.name, labels={"a": long, "b": "x\ny\x1b[31m"}, runbook=f"https://x/{long}",
                  exemplar_trace_ids=[long] * 5, reason=long, service=long)  # fmt: skip
    said = words(notification_of(alert), replace(KNOWN, policy=long, description=long, promise=""))
    assert len(said.title) <= TITLE_MOST
    assert len(said.short) <= SHORT_MOST
    assert len(said.long) <= LONG_MOST
    assert "\n" not in said.title + said.short
    assert all(line.partition(": ")[1] for line in said.long.splitlines()), "a line each, with its name"
    assert "\x1b" not in said.title + said.short + said.long


def test_no_data_is_never_a_number() -> None:
    said = words(notification_of(silent()), KNOWN)
    assert not [digit for digit in said.title if digit.isdigit()]
    for word in ("0 %", "0x", "0 of", "requests", "None", "nan"):
        assert word not in said.title + said.short + said.long.partition("Since:")[0]


def test_unknown_ratios_are_left_out_or_said_to_be_unknown() -> None:
    blank = dict.fromkeys(("long_burn_rate", "budget_remaining_ratio", "time_to_exhaustion_s", "exhaustion_burn_rate"))
    said = words(notification_of(event(**blank, long_good=0, long_bad=0)))
    assert said.title == "[CRITICAL] chat-ttft for region=eu: the error budget burns at no data"
    assert "no requests in 1 h" in said.short
    assert "how much is left is not known: no data" in said.long
    assert "None" not in said.long


def test_a_change_before_it_began_is_told_with_how_long_before() -> None:
    assert (
        "Changed: 5 min 54 s before, 02:58:11 UTC: first requests of variant=v2"
        in words(notification_of(event()), KNOWN).long.splitlines()
    )


def test_what_is_over_says_for_how_long_and_not_what_to_do() -> None:
    said = words(notification_of(over("03:51:00", "the SLO was removed")), KNOWN)
    assert said.title == "[RESOLVED] chat-ttft for region=eu: over after 46 min: the SLO was removed"
    for word in ("Changed", "Hit most", "Policy", "gone in"):
        assert word not in said.short + said.long


def test_an_escalation_says_what_it_was_before() -> None:
    assert words(notification_of(event(), Severity.WARNING)).title.startswith("[CRITICAL, was WARNING] ")
    assert words(notification_of(event(), Severity.CRITICAL)).title.startswith("[CRITICAL] ")


def test_the_question_to_clickhouse_quotes_what_producers_wrote() -> None:
    text = sql(event(instance="tenant_id=' OR 1=1 --\\\n"))
    assert "instance = 'tenant_id=\\' OR 1=1 --\\\\\\x0A' ORDER BY" in text
    assert "\n" not in text


def test_the_day_is_told_when_it_was_another_one() -> None:
    assert (
        "Since: 2025-12-28 00:00 UTC, for 5 d 3 h"
        in words(notification_of(event(started_at=at_us("00:00:00") - 5 * 86_400_000_000))).long
    )
