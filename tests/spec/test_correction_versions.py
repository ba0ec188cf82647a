"""What becomes of corrections: versions are only ever added, and the same document again changes nothing."""

from datetime import UTC, datetime, timedelta

import schemas
from pipeline.spec import load, parse, presets
from pipeline.spec.correction_versions import AHEAD, PAST, Step, Version, applied, steps, withdrawn
from pipeline.spec.corrections import Correction
from tests.spec.test_corrections import MOVE, SUNDAYS, only, utc
from tests.spec.test_json_schema import errors

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=29)


def recorded(*made: Step) -> dict[str, Version]:
    return {step.correction: step.row for step in made if step.row}


def what(made: list[Step]) -> list[tuple[str, str]]:
    return [(step.correction, step.what) for step in made]


def test_a_new_correction_is_version_1_with_all_that_it_says() -> None:
    (step,) = steps([only(MOVE)], {}, NOW)
    assert step.row == Version(
        "move-of-the-database", 1, "APPLIED", "The database moved to other machines", "anna@example.com", NOW,
        only(MOVE).digest, "f.yaml:1", "2026-11-20 02:00 UTC for 2h30m", "region eu", ("region",), (("eu",),), ((),),
        ((),), (utc("2026-11-20T02:00"),), (utc("2026-11-20T04:30"),), None, NOW,
    )  # fmt: skip


def test_the_same_document_changes_nothing_and_another_is_a_version_more() -> None:
    first = steps([only(MOVE)], {}, NOW)
    assert what(steps([only(MOVE)], recorded(*first), LATER)) == [("move-of-the-database", "unchanged")]
    (second,) = steps([only(MOVE.replace("04:30", "05:00"))], recorded(*first), LATER)
    assert second.what == "changed"
    assert second.row is not None
    assert (second.row.version, second.row.recorded_at) == (2, LATER)


def test_what_is_withdrawn_comes_back_only_when_its_document_says_something_new() -> None:
    (first,) = steps([only(MOVE)], {}, NOW)
    assert first.row is not None
    gone = withdrawn(first.row, "ben", "it was us", LATER)
    assert gone.row == first.row._replace(
        version=2, state="WITHDRAWN", who="ben", reason="it was us", recorded_at=LATER, stored_at=LATER
    )
    assert what(steps([only(MOVE)], recorded(gone), LATER)) == [("move-of-the-database", "left withdrawn")]
    (again,) = steps([only(MOVE.replace("moved", "went"))], recorded(gone), LATER)
    assert (again.what, again.row and again.row.version) == ("applied", 3)


def test_only_pruning_withdraws_what_no_file_has() -> None:
    known = recorded(*steps([only(MOVE), only(SUNDAYS)], {}, NOW))
    assert what(steps([only(SUNDAYS)], known, NOW)) == [("sundays", "unchanged")]
    pruned = steps([only(SUNDAYS)], known, NOW, prune=True)
    assert what(pruned) == [("sundays", "unchanged"), ("move-of-the-database", "withdrawn")]
    assert what(steps([only(SUNDAYS)], {**known, **recorded(*pruned)}, NOW, prune=True)) == [("sundays", "unchanged")]


def test_what_was_withdrawn_because_no_file_had_it_comes_back_with_its_file() -> None:
    known = recorded(*steps([only(MOVE)], {}, NOW))
    pruned = recorded(*steps([], known, NOW, prune=True))
    (again,) = steps([only(MOVE)], pruned, LATER)
    assert (again.what, again.row and (again.row.version, again.row.recorded_at)) == ("applied", (3, LATER))
    assert what(steps([only(MOVE)], recorded(again), LATER)) == [("move-of-the-database", "unchanged")]


def test_what_recurs_is_written_out_as_far_as_views_look_and_again_before_that_is_over() -> None:
    (first,) = steps([only(SUNDAYS)], {}, NOW)
    row = first.row
    assert row is not None
    assert row.known_until == NOW + AHEAD
    assert NOW - PAST < row.starts[0] == utc("2026-03-01T01:00")
    assert NOW + AHEAD - timedelta(days=7) <= row.starts[-1] < NOW + AHEAD
    assert what(steps([only(SUNDAYS)], recorded(first), LATER)) == [("sundays", "unchanged")]
    (more,) = steps([only(SUNDAYS)], recorded(first), NOW + timedelta(days=31))
    assert more.row is not None
    assert (more.what, more.row.version, more.row.recorded_at) == ("extended", 1, NOW)
    assert set(row.starts) < set(more.row.starts)


def test_every_instance_is_no_condition() -> None:
    row = applied(only(SUNDAYS), 1, NOW)
    assert (row.selects, row.where_labels, row.where_values) == ("all", (), ())


def test_the_shipped_example_is_valid_for_the_language_and_its_schema() -> None:
    path = schemas.HOME / "corrections" / "maintenance.yaml"
    found = load([path])
    assert found.problems == ()
    assert [each.name for each in found.corrections] == [
        "sunday-maintenance", "outage-of-the-provider-2026-02",
    ]  # fmt: skip
    for text in (path.read_text(encoding="utf-8"), MOVE, SUNDAYS):
        assert errors(text) == []
    assert errors(MOVE.replace("who:", "woh:")) != []
    assert errors(SUNDAYS.replace("FREQ=WEEKLY;", "weekly;")) != []


def test_a_matrix_makes_corrections_too() -> None:
    text = MOVE.replace("database\n", "database-$(region)\n", 1).replace("region: eu", "region: $(region)")
    found = parse({"f.yaml": f"{text}matrix: {{region: [eu, us]}}\n".encode()}, presets())
    made: tuple[Correction, ...] = found.corrections
    assert (found.problems, [each.where for each in made]) == ((), [(("region", ("eu",)),), (("region", ("us",)),)])
