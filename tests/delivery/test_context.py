"""Law: a group is told of when it has more of what is bad than of the requests; who has both is not."""

import pytest

from pipeline.delivery.context import (
    NOTHING,
    Change,
    Context,
    Group,
    Recorded,
    change_of,
    first_seen,
    most_hit,
    of_slo,
    seen,
)
from tests.delivery.told import at_us
from tests.spec.samples import GOOD, load_text


def failing(label: str, **values: tuple[int, int]) -> list[Group]:
    """Groups of one label: value -> requests, bad."""
    return [Group(label, value, requests, bad) for value, (requests, bad) in values.items()]


def test_a_group_with_most_failures_and_few_requests_stands_out() -> None:
    assert most_hit(failing("variant", v1=(79_000, 1_364), v2=(21_000, 9_870))) == (
        "variant=v2: 9,870 of 11,234 failures (88 %), of 21 % of the requests",
    )


def test_a_group_with_most_failures_and_most_requests_does_not() -> None:
    assert most_hit(failing("region", eu=(9_000, 90), us=(1_000, 10))) == ()


def test_one_value_alone_says_nothing() -> None:
    assert most_hit(failing("tenant_id", acme=(1_000, 500))) == ()


def test_nobody_stands_out_where_nothing_failed() -> None:
    assert most_hit(failing("tenant_id", acme=(1_000, 0), zen=(0, 0))) == ()


def test_the_worst_come_first_and_only_a_few() -> None:
    groups = [group for label in "abcd" for group in failing(label, x=(100, 50 + ord(label)), y=(9_900, 10))]
    texts = most_hit(groups)
    assert [text[0] for text in texts] == ["d", "c", "b"]


def test_a_slow_group_is_told_with_what_is_usual() -> None:
    slow = [Group("region", name, 100, None, p95) for name, p95 in (("eu", 3_200_000.0), ("us", 8e5), ("ap", 9e5))]
    assert most_hit(slow) == ("region=eu: P95 of 3.2 s, of others 900 ms",)
    assert most_hit(slow[1:]) == ()


def test_nobody_is_known_to_stand_out_only_where_something_was_measured() -> None:
    assert seen(NOTHING, failing("region", eu=(10, 1), us=(10, 1)), ()).is_counted
    unmeasured = [Group("region", "eu", 10), Group("region", "us", 10)]
    assert not seen(NOTHING, unmeasured, ()).is_counted


def test_values_are_shown_clean() -> None:
    (text,) = most_hit([Group("tenant_id", "a\nb", 10, 10), Group("tenant_id", "", 1_000, 0)])
    assert text.startswith("tenant_id=a?b: ")


def test_only_what_is_new_since_then_has_changed_newest_first() -> None:
    found = {
        ("variant", "v1"): at_us("01:00:00"),
        ("variant", "v2"): at_us("02:58:00"),
        ("region", "eu"): at_us("03:01:00"),
    }
    changes = first_seen(found, at_us("02:00:00"))
    assert [change.text for change in changes] == ["first requests of variant=v2", "first requests of region=eu"]
    context = seen(NOTHING, [], changes)
    assert [change.at_us for change in context.changes] == [at_us("03:01:00"), at_us("02:58:00")]
    assert context == Context(changes=context.changes), "without groups nobody knows who is hit"
    assert context.changes[0] == Change(at_us("03:01:00"), "first requests of region=eu")


@pytest.mark.parametrize(
    ("told", "text"),
    [
        pytest.param(Recorded(1, "DEPLOY", "vllm 0.9.1"), "deploy: vllm 0.9.1", id="a title"),
        pytest.param(
            Recorded(
                1, "KNOB", "larger\nbatches", ["batch: 8 -> 16"], "ann", "https://ci/7",
                (("variant", "v2"), ("region", "eu")),
            ),
            "knob: larger batches (batch: 8 -> 16), only of variant=v2, region=eu, by ann (https://ci/7)",
            id="everything",
        ),
        pytest.param(
            Recorded(1, "KNOB", "many", [f"k{i}: {i}" for i in range(5)]),
            "knob: many (k0: 0, k1: 1, k2: 2, 2 knobs more)",
            id="more knobs than one reads",
        ),
        pytest.param(Recorded(1, "NOTE", "x" * 1_000), f"note: {'x' * 119}…", id="a long title is cut"),
    ],
)  # fmt: skip
def test_what_somebody_told_of_is_said_in_a_line(told: Recorded, text: str) -> None:
    assert change_of(told) == Change(1, text)


def test_an_slo_file_says_what_is_promised_and_what_to_do() -> None:
    text = GOOD.replace("annotations: {", "annotations: {budget-policy: no deploys, ")
    (slo,) = load_text(text).checked().slos
    context = of_slo(slo)
    assert context.promise == (
        "99 % of chat requests with operation chat and tenant_id zen or acme have ttft of at most 1s, over 30d"
    )
    assert (context.policy, context.owner, context.consequence) == ("no deploys", "serving", "10 % credit")
    assert (context.noun, context.parts, context.is_counted) == ("requests", 1, False)


def test_of_slices_the_noun_is_slices() -> None:
    method = "budgetingMethod: RatioTimeslices\n  timeSliceWindow: 1m"
    (slo,) = load_text(GOOD.replace("budgetingMethod: Occurrences", method)).checked().slos
    assert (of_slo(slo).noun, of_slo(slo).parts) == ("slices", 1_000_000)
