"""Warnings of what no event had: each condition alone, all together, the metric; and silence where nothing is known."""

from collections.abc import Mapping

import pytest

from pipeline.series import OTHER
from pipeline.spec.seen import Seen, unseen
from tests.spec.samples import GOOD, SHORT, load_text, spoiled

#: service, model, tenant, region, operation, class, variant, vantage
ACME = ("chat", "m", "acme", "eu", "chat", "standard", "h100", "GATEWAY")
ZEN = ("chat", "m", "zen", "eu", "completion", "standard", "h100", "ENGINE")
CAME: dict[tuple[str, ...], int] = {ACME: 7, ZEN: 5, ("embed", *ACME[1:]): 3}
TWELVE = "12 events of the last 7 days of service chat"
NOBODY = (("tenant_id: [zen, acme]", "tenant_id: zeno"),)


def told(text: str, came: Mapping[tuple[str, ...], int] = CAME, eligible: int = 0, excluded: int = 0) -> list[str]:
    found = load_text(text).checked()
    counts = {(o.name, o.indicator_revision): (eligible, excluded) for o in found.objectives}
    return [
        f"{p.line}:{p.column} {p.path} {p.value}: {p.rule} -> {p.remedy}" for p in unseen(found, Seen(7, came, counts))
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param((), [], id="everything came"),
        pytest.param(
            (("service: chat", "service: chatt"),),
            ["9:12 spec.service chatt: is the service of none of the 15 events of the last 7 days"
             " -> did you mean chat?"],
            id="no such service",
        ),
        pytest.param(
            NOBODY,
            [f"14:41 spec.indicator.where.tenant_id zeno: none of the {TWELVE} has it -> did you mean zen?"],
            id="no such tenant",
        ),
        pytest.param(
            (("tenant_id: [zen, acme]", "tenant_id: {notIn: [zen, acme]}"),),
            [f"14:41 spec.indicator.where.tenant_id not acme or zen: none of the {TWELVE} has it"
             " -> what came has acme, zen"],
            id="nobody else",
        ),
        pytest.param(
            (("vantage: GATEWAY", "vantage: CLIENT"), ("operation: chat", "operation: x")),
            [f"14:24 spec.indicator.where.operation x: none of the {TWELVE} has it -> what came has chat, completion",
             f"16:14 spec.indicator.vantage CLIENT: none of the {TWELVE} has it -> what came has ENGINE, GATEWAY"],
            id="neither vantage nor operation",
        ),
        pytest.param(
            (("tenant_id: [zen, acme]", "tenant_id: zen"),),
            [f"14:12 spec.indicator.where operation, tenant_id, vantage: is met in part by some, as a whole by none of"
             f" the {TWELVE} -> ask the view sli_1h what comes together"],
            id="each, but not together",
        ),
        pytest.param((("operation: chat", "engine: vllm"),), [], id="a label that views do not keep"),
    ],
)  # fmt: skip
def test_what_no_event_had_is_told_at_its_place(changes: tuple[tuple[str, str], ...], expected: list[str]) -> None:
    assert told(spoiled(*changes)) == expected


def test_behind_other_stands_any_value_and_before_anything_came_nothing_is_said() -> None:
    hidden = (*ACME[:2], OTHER, *ACME[3:])
    assert told(spoiled(*NOBODY), {hidden: 1}) == []
    assert told(spoiled(*NOBODY), {}) == []
    assert told(SHORT, {(OTHER,) * 8: 1}) == []


@pytest.mark.parametrize(("eligible", "excluded", "is_told"), [(0, 9, True), (1, 9, False), (0, 0, False)])
def test_a_metric_that_judged_nothing_of_what_matched_is_told(eligible: int, excluded: int, is_told: bool) -> None:
    found = told(GOOD, eligible=eligible, excluded=excluded)
    assert found == is_told * [
        "11:13 spec.indicator.metric ttft: judged none of 9 events of the last 7 days: all were excluded -> see that "
        "producers send what it is made of: receipt to first non-empty output token; streams only"
    ]


def test_counts_of_another_revision_say_nothing() -> None:
    found = load_text(GOOD).checked()
    assert unseen(found, Seen(7, CAME, {("chat-ttft", "0" * 12): (0, 9)})) == []
