"""Parameters: what is not understood is refused by name, and a cursor fits its own list alone."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.alerts import Kind
from pipeline.web.parameters import (
    SPAN_MOST_S,
    BadParameter,
    FleetQuery,
    Span,
    alert_query,
    fleet_query,
    sealed,
    span_of,
    time_of,
    unsealed,
)

NOW_S = 1_800_000_000.25


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
def test_alerts_are_asked_for_by_every_kind_there_is(kind: Kind) -> None:
    assert alert_query([("kind", kind.name)], NOW_S).kind == kind.name


BAD = [
    pytest.param("nope", "1", id="an unknown name"),
    pytest.param("sort", "slo; DROP TABLE statuses", id="a sort that is none"),
    pytest.param("sort", "--slo", id="turned twice"),
    pytest.param("standing", "ok,fine", id="a standing that is none"),
    pytest.param("limit", "0", id="no rows"),
    pytest.param("limit", "1001", id="too many rows"),
    pytest.param("limit", "-5", id="less than no rows"),
    pytest.param("limit", "1e3", id="a limit with an exponent"),
    pytest.param("limit", "\u0663", id="a digit of another script"),
    pytest.param("limit", "", id="an empty limit"),
    pytest.param("group", "label:", id="a group of no label"),
    pytest.param("group", "target", id="a group that is none"),
    pytest.param("label", "region", id="a label without a value"),
    pytest.param("label", ":eu", id="a value without a label"),
    pytest.param("trend", "yes", id="a trend that is no digit"),
    pytest.param("cursor", "AAAA", id="a cursor of nothing"),
    pytest.param("cursor", "\u00e9\u00e9", id="a cursor that is no base64"),
    pytest.param("cursor", sealed(["a"], "0123456789"), id="a cursor of another list"),
    pytest.param("q", "a" * 1025, id="too long"),
    pytest.param("q", "a\x00b", id="a zero"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_what_a_list_does_not_understand_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadParameter) as refused:
        fleet_query([(name, value)])
    assert refused.value.name == name


def test_a_parameter_comes_once_and_labels_as_often_as_one_likes() -> None:
    with pytest.raises(BadParameter, match="only once"):
        fleet_query([("slo", "a"), ("slo", "b")])
    assert fleet_query([("label", "region:eu"), ("label", "a:b:c")]).labels == (("region", "eu"), ("a", "b:c"))


BAD_ALERTS = [
    pytest.param("from", "yesterday", id="words"),
    pytest.param("from", "-6w", id="a unit that is none"),
    pytest.param("from", "now", id="nothing between"),
    pytest.param("from", "99999999999", id="too far away"),
    pytest.param("from", "0001-01-01T00:00:00+14:00", id="before all time"),
    pytest.param("from", "-401d", id="too long ago"),
    pytest.param("to", "-8d", id="an end before the beginning"),
    pytest.param("state", "closed", id="a state that is none"),
    pytest.param("severity", "awful", id="a severity that is none"),
    pytest.param("kind", "BURN", id="a kind that is none"),
    pytest.param("label", "a:b", id="a parameter of another list"),
]


@pytest.mark.parametrize(("name", "value"), BAD_ALERTS)
def test_what_alerts_do_not_understand_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadParameter) as refused:
        alert_query([(name, value)], NOW_S)
    assert refused.value.name in {name, "from"}


TIMES = [
    ("1700000000", 1_700_000_000),
    ("2026-11-26T05:40:00Z", int(datetime(2026, 11, 26, 5, 40, tzinfo=UTC).timestamp())),
    ("2026-11-26T05:40:00.999999", int(datetime(2026, 11, 26, 5, 40, tzinfo=UTC).timestamp())),
    ("2026-11-26T06:40:00+01:00", int(datetime(2026, 11, 26, 5, 40, tzinfo=UTC).timestamp())),
    ("now", 1_800_000_000),
    ("-90s", 1_799_999_910),
    ("-30m", 1_799_998_200),
    ("-6h", 1_799_978_400),
    ("-7d", 1_799_395_200),
]


@pytest.mark.parametrize(("text", "at"), TIMES, ids=[text for text, _ in TIMES])
def test_a_time_is_read_as_it_is_written(text: str, at: int) -> None:
    assert time_of("from", text, NOW_S) == at


def test_a_span_is_six_hours_when_nothing_is_said_and_bounded_always() -> None:
    assert span_of({}, NOW_S) == Span(1_799_978_400, 1_800_000_000)
    with pytest.raises(BadParameter):
        span_of({"from": str(1_800_000_000 - SPAN_MOST_S - 1)}, NOW_S)


@given(
    st.lists(st.one_of(st.none(), st.integers(-(1 << 60), 1 << 60), st.floats(allow_nan=False), st.text()), min_size=1)
)
def test_a_cursor_comes_back_as_it_went(key: list[object]) -> None:
    assert unsealed(sealed(key, "0123456789"), "0123456789") == tuple(key)


@given(st.text(max_size=200))
def test_no_text_at_all_is_more_than_a_refused_cursor(text: str) -> None:
    try:
        assert unsealed(text, "0123456789") is None
    except BadParameter as refused:
        assert refused.name == "cursor"


def test_a_cursor_outlives_another_limit_and_no_other_filter() -> None:
    query = FleetQuery(words=("a",))
    assert query.signature == query._replace(limit=7, has_trend=False).signature
    assert query.signature != query._replace(words=("b",)).signature
    assert query.signature != query._replace(is_turned=True).signature
