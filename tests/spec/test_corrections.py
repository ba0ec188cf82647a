"""Corrections in files: what they say, what is wrong with them and where, and which SLO instances they are about."""

from datetime import UTC, datetime

import pytest

from pipeline.spec import load, parse, presets
from pipeline.spec.corrections import MINUTE, Correction, said
from tests.spec.samples import SHORT, problems, spoiled

MOVE = """\
apiVersion: burnline/v1
kind: Correction
metadata:
  name: move-of-the-database
spec:
  reason: The database moved to other machines
  who: anna@example.com
  from: 2026-11-20 02:00
  to: 2026-11-20 04:30
  where: {region: eu}
"""
SUNDAYS = """\
apiVersion: burnline/v1
kind: Correction
metadata: {name: sundays}
spec:
  reason: Maintenance on Sunday mornings
  who: infrastructure
  from: 2026-03-01 02:00
  to: 2026-03-01 04:00
  timeZone: Europe/Berlin
  rrule: FREQ=WEEKLY;BYDAY=SU
  except: [2026-03-15]
  where: all
"""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def only(text: str) -> Correction:
    found = parse({"f.yaml": text.encode()}, presets())
    assert [str(problem) for problem in found.problems] == []
    (correction,) = found.corrections
    return correction


def test_a_correction_is_read_beside_slos_and_is_none() -> None:
    grouped = spoiled(("error_rate}", "error_rate, groupBy: [region]}"), text=SHORT)
    found = parse({"f.yaml": f"{grouped}---\n{MOVE}".encode()}, presets())
    assert [slo.name for slo in found.checked().slos] == ["short"]
    assert [each.name for each in found.corrections] == ["move-of-the-database"]


def test_a_directory_of_corrections_alone_is_no_mistake(tmp_path: object) -> None:
    (tmp_path / "c.yaml").write_text(MOVE)  # type: ignore[operator]
    found = load([tmp_path])  # type: ignore[list-item]
    assert (found.problems, len(found.corrections)) == ((), 1)


@pytest.mark.parametrize(
    ("start", "end", "zone", "first", "last"),
    [
        pytest.param("2026-11-20 02:00", "2026-11-20 04:30", "", "2026-11-20T02:00", "2026-11-20T04:30", id="UTC"),
        pytest.param(
            "2026-11-20T02:00", "2026-11-21", "Europe/Berlin", "2026-11-20T01:00", "2026-11-20T23:00", id="a zone"
        ),
        pytest.param(
            "2026-11-20T02:00Z", "2026-11-20T04:00:00+01:00", "", "2026-11-20T02:00", "2026-11-20T03:00", id="offsets"
        ),
        pytest.param("2026-03-29 01:30", "2026-03-29 03:30", "Europe/Berlin", "2026-03-29T00:30", "2026-03-29T01:30",
                     id="an hour that does not come"),
        pytest.param("2026-10-25 01:30", "2026-10-25 03:30", "Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:30",
                     id="an hour that comes twice"),
        pytest.param("2026-03-29 02:15", "2026-03-29 02:45", "Europe/Berlin", "2026-03-29T01:15", "2026-03-29T01:45",
                     id="wholly in a gap"),
        pytest.param("2026-03-29 02:30", "2026-03-29 03:00", "Europe/Berlin", "2026-03-29T01:30", "2026-03-29T02:00",
                     id="from within a gap to its end"),
    ],
)  # fmt: skip
def test_a_range_is_the_instants_of_its_wall_clock(start: str, end: str, zone: str, first: str, last: str) -> None:
    text = spoiled(("2026-11-20 02:00", start), ("2026-11-20 04:30", end), text=MOVE)
    text += f"  timeZone: {zone}\n" if zone else ""
    assert only(text).span.ranges() == ((utc(first), utc(last)),)


def test_maintenance_comes_again_by_the_wall_clock_without_what_is_left_out() -> None:
    found = only(SUNDAYS).span.ranges(utc("2026-03-01T00:00"), utc("2026-04-06T00:00"))
    days = ["2026-03-01T01:00", "2026-03-08T01:00", "2026-03-22T01:00", "2026-03-29T01:00", "2026-04-05T00:00"]
    assert [start for start, _ in found] == list(map(utc, days))
    assert [(end - start) // MINUTE for start, end in found] == [120, 120, 120, 60, 120]  # 02:00 to 04:00 CEST


def test_only_what_reaches_into_a_period_is_told() -> None:
    span = only(SUNDAYS).span
    assert span.ranges(utc("2026-03-01T02:59"), utc("2026-03-08T01:00")) == (
        (utc("2026-03-01T01:00"), utc("2026-03-01T03:00")),
    )
    assert span.ranges(utc("2026-03-01T03:00"), utc("2026-03-08T01:00")) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param((("  who: anna@example.com\n", ""),),
                     "6:3  spec.who  is missing  -> write who: and who says so", id="nobody"),
        pytest.param((("  where: {region: eu}\n", ""),),
                     "6:3  spec.where  is missing"
                     "  -> write where: {slo: NAME}, labels such as {region: eu}, or where: all", id="nowhere"),
        pytest.param((("{region: eu}", "everything"),),
                     "10:10  spec.where  everything  must be all  -> write all", id="everything"),
        pytest.param((("region:", "regoin:"),),
                     "10:11  spec.where.regoin  regoin  must be one of slo, service", id="a label"),
        pytest.param((("{region: eu}", "{stream: maybe}"),),
                     "10:19  spec.where.stream  maybe  must be one of true, false", id="a value that never is"),
        pytest.param((("04:30", "02:00"),),
                     "9:7  spec.to  2026-11-20 02:00  must be after from", id="empty"),
        pytest.param((("2026-11-20 04:30", "2027-11-20"),),
                     "9:7  spec.to  2027-11-20  must be at most 31d after from", id="a year"),
        pytest.param((("04:30", "04:30:10"),),
                     "9:7  spec.to  2026-11-20 04:30:10  must be whole minutes, as counts are kept by the minute"
                     "  -> write 2026-11-20 04:30", id="seconds"),
        pytest.param((("11-20 04:30", "11-31 04:30"),),
                     "9:7  spec.to  2026-11-31 04:30  is no date that exists", id="no day"),
        pytest.param((("04:30", "04:30+99:00"),),
                     "9:7  spec.to  2026-11-20 04:30+99:00  has an offset that does not exist", id="no offset"),
        pytest.param((("04:30", "04:30Z\n  timeZone: UTC"),),
                     "9:7  spec.to  2026-11-20 04:30Z  must have no offset beside timeZone", id="said twice"),
        pytest.param((("reason: The", "reson: The"),),
                     "6:3  spec.reson  The database moved to other machines  is an unknown key"
                     "  -> did you mean reason?", id="a key"),
        pytest.param((("04:30", "04:30\n  except: [2026-11-27]"),),
                     "10:11  spec.except  2026-11-27  must not be given without rrule", id="exceptions of nothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place_and_remedy(changes: tuple[tuple[str, str], ...], expected: str) -> None:
    found = problems(spoiled(*changes, text=MOVE))
    assert [each for each in found if each.startswith(f"f.yaml:{expected}")]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=SU", "FREQ=HOURLY", "must be one of DAILY, WEEKLY, MONTHLY, YEARLY"),
        ("FREQ=WEEKLY;BYDAY=SU", "BYDAY=SU", "must say FREQ"),
        ("FREQ=WEEKLY;BYDAY=SU", "every Sunday", "must be NAME=VALUE parts"),
        ("BYDAY=SU", "BYDAY=XX", "is no rule: invalid 'BYDAY': XX"),
        ("BYDAY=SU", "BYDYA=SU", "has a part BYDYA that is not known  -> did you mean BYDAY?"),
        ("BYDAY=SU", "BYHOUR=3", "-> remove it: the time of day is that of from"),
        ("BYDAY=SU", "INTERVAL=0", "must have INTERVAL of 1 to 366"),
        ("BYDAY=SU", "BYDAY=SU;COUNT=3;UNTIL=20270101", "must not have both COUNT and UNTIL"),
        ("BYDAY=SU", "BYDAY=SU;UNTIL=20270101T000000Z", "-> remove Z: timeZone says it"),
        ("BYDAY=SU", "BYDAY=SU;UNTIL=20270231", "has an UNTIL that does not exist"),
        ("BYDAY=SU", "BYDAY=MO", "spec.from  2026-03-01 02:00  must be the first time of rrule, 2026-03-02 02:00"),
        ("FREQ=WEEKLY;BYDAY=SU", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31", "never comes, from `from` on"),
        ("[2026-03-15]", "[2026-03-15, 2026-03-18]",
         "11:24  spec.except[1]  2026-03-18  is no time of rrule  -> the nearest is 2026-03-15 02:00"),
        ("from: 2026-03-01 02:00", "from: 2026-03-01 02:00Z", "must have no offset beside timeZone"),
        ("Europe/Berlin", "Berlin", "-> did you mean Europe/Berlin?"),
    ],
)  # fmt: skip
def test_a_rule_that_is_none_is_refused(old: str, new: str, expected: str) -> None:
    found = problems(SUNDAYS.replace(old, new))
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize("bound", ["COUNT=2", "UNTIL=20260308", "UNTIL=20260308T020000"])
def test_a_rule_ends_where_it_says(bound: str) -> None:
    text = spoiled(("BYDAY=SU", f"BYDAY=SU;{bound}"), ("  except: [2026-03-15]\n", ""), text=SUNDAYS)
    assert len(only(text).span.ranges()) == 2


def test_names_that_no_file_has_are_refused_where_slos_are_known() -> None:
    text = spoiled(("{region: eu}", "{slo: [short, shrot], service: chta}"), text=MOVE)
    assert only(text).name  # nothing is known of SLOs
    assert problems(f"{SHORT}---\n{text}") == [
        "f.yaml:19:24  spec.where.slo[1]  shrot  is the name of no SLO  -> did you mean short?",
        "f.yaml:19:41  spec.where.service  chta  is the service of no SLO  -> did you mean chat?",
    ]


def test_a_label_that_no_slo_is_grouped_by_selects_nothing_and_is_refused() -> None:
    assert problems(f"{SHORT}---\n{MOVE}") == [
        "f.yaml:19:19  spec.where.region  eu  is no label that an SLO is grouped by  -> write slo: NAME"
    ]


def test_two_corrections_of_one_name_are_refused_and_an_slo_may_have_it() -> None:
    assert problems(f"{MOVE}---\n{MOVE}") == [
        "f.yaml:15:9  metadata.name  move-of-the-database  must be unique; f.yaml:1 has this name too"
        "  -> rename one of them"
    ]
    assert (
        problems(f"{SHORT}---\n{spoiled(('move-of-the-database', 'short'), ('{region: eu}', 'all'), text=MOVE)}") == []
    )


@pytest.mark.parametrize(
    ("where", "selected"),
    [
        ("all", {"a/eu", "a/us", "b"}),
        ("{slo: a}", {"a/eu", "a/us"}),
        ("{region: eu}", {"a/eu"}),
        ("{region: {not: eu}}", {"a/us"}),
        ("{service: chat, slo: {prefix: b}}", {"b"}),
        ("{request_model: x}", set()),
    ],
)
def test_instances_are_selected_by_name_service_and_labels_they_have(where: str, selected: set[str]) -> None:
    correction = only(spoiled(("{region: eu}", where), text=MOVE))
    instances = {"a/eu": ("a", {"region": "eu"}), "a/us": ("a", {"region": "us"}), "b": ("b", {})}
    found = {key for key, (slo, labels) in instances.items() if correction.selects(slo, "chat", labels)}
    assert found == selected


def test_the_digest_is_of_what_is_said_and_not_of_how() -> None:
    digest = only(SUNDAYS).digest
    same = spoiled(("[2026-03-15]", "2026-03-15 02:00"), text=SUNDAYS)
    assert only(same).digest == digest
    for change in (("FREQ", "RRULE:FREQ"), ("name: sundays", "name: others")):
        assert only(spoiled(change, text=SUNDAYS)).digest == digest
    for change in (
        ("mornings", "evenings"),
        ("03-15]", "03-22]"),
        ("Berlin", "Paris"),
        ("where: all", "where: {slo: a}"),
    ):
        assert only(spoiled(change, text=SUNDAYS)).digest != digest


def test_a_correction_says_when_it_is() -> None:
    assert said(only(MOVE)) == "2026-11-20 02:00 UTC for 2h30m"
    assert said(only(SUNDAYS)) == "2026-03-01 02:00 Europe/Berlin for 2h, FREQ=WEEKLY;BYDAY=SU"
