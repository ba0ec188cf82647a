"""An SLO's own policy: which cases it moves, what that changes, and how it is told."""

import pytest

from pipeline.sli import Case, Verdict
from pipeline.spec.classification import CASES, policy_text
from pipeline.spec.explanation import story
from tests.spec.samples import SHORT, load_text, problems, spoiled

POLICY = ("    attempts: all\n", "    attempts: all\n    policy: {shed: excluded, cancelled: bad}\n")
ERRORS = spoiled(
    ("{metric: error_rate}", "{metric: error_rate, policy: {shed: excluded, rateLimited: bad}}"), text=SHORT
)


def test_a_policy_moves_cases_and_keeps_those_that_it_repeats() -> None:
    (slo,) = load_text(ERRORS).checked().objectives
    assert slo.indicator.verdicts == ((Case.SHED, Verdict.EXCLUDED), (Case.RATE_LIMITED, Verdict.BAD))
    (slow,) = load_text(spoiled(POLICY)).checked().objectives
    assert slow.indicator.verdicts == ((Case.CANCELLED, Verdict.BAD),)  # shed is excluded from ttft anyway


def test_a_policy_that_repeats_the_table_is_no_policy_and_makes_no_revision() -> None:
    text = spoiled(
        ("{metric: error_rate}", "{metric: error_rate, policy: {shed: bad, rejected: excluded}}"), text=SHORT
    )
    assert load_text(text).checked().objectives == load_text(SHORT).objectives


def test_a_policy_makes_a_revision_of_counts() -> None:
    (own,), (usual,) = load_text(ERRORS).objectives, load_text(SHORT).objectives
    assert own.indicator_revision != usual.indicator_revision
    (other,) = load_text(ERRORS.replace("rateLimited: bad", "rateLimited: excluded")).objectives
    assert other.indicator_revision not in {own.indicator_revision, usual.indicator_revision}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("{shed: good}", "shed  good  must be one of bad, excluded  -> write one of them"),
        ("{sheded: bad}", f"sheded  sheded  must be one of {', '.join(CASES)}  -> did you mean shed?"),
        ("{error: excluded}", f"error  error  must be one of {', '.join(CASES)}  -> write one of them"),
    ],
)
def test_what_failed_cannot_be_made_good(policy: str, expected: str) -> None:
    (problem,) = problems(spoiled(("{metric: error_rate}", f"{{metric: error_rate, policy: {policy}}}"), text=SHORT))
    assert problem.partition("spec.indicator.policy.")[2] == expected


def test_a_policy_is_told_in_the_words_of_the_file() -> None:
    own, usual = (story(load_text(text).slos[0]) for text in (ERRORS, SHORT))
    assert own[1] == f"{usual[1]}; a policy of its own: shed excluded, rateLimited bad"
    assert policy_text([(case, Verdict.BAD) for case in CASES.values()]) == ", ".join(f"{key} bad" for key in CASES)
