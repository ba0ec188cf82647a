"""Corrections of a directory come into force with the workers that read it: once, whoever is first."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.agents.correcting import RENEW_S, WHO, Corrector, put_in_force
from pipeline.agents.parts import Parts
from pipeline.embedded import EmbeddedClickHouse
from pipeline.framing import SINGLE_OBJECT
from pipeline.settings import Settings
from pipeline.sinks.corrections import Overtaken, latest, record, settle
from pipeline.spec import SloSet, parse, presets
from pipeline.spec.correction_versions import PRUNED, Step, Version, applied, steps, withdrawn
from tests.sinks.storing import settings_of


def document(name: str, reason: str = "moved", more: str = "") -> str:
    return (
        f"apiVersion: burnline/v1\nkind: Correction\nmetadata: {{name: {name}}}\nspec: {{reason: {reason}, who: anna, "
        f"from: 2026-03-01 02:00, to: 2026-03-01 04:00, where: {{slo: {name}}}{more}}}\n"
    )


def directory(*documents: str) -> SloSet:
    found = parse({"c.yaml": "---\n".join(documents).encode()}, presets())
    assert found.problems == ()
    return found


def worker(settings: Settings, slos: SloSet) -> Corrector:
    return Corrector(Parts(settings, slos, SINGLE_OBJECT, {}))


def look(correctors: Sequence[Corrector], now_s: float = 0.0) -> None:
    async def together() -> None:
        await asyncio.gather(*(each.look(now_s) for each in correctors))

    asyncio.run(together())


def versions(server: EmbeddedClickHouse, name: str) -> list[tuple[int, str, str]]:
    with server.client() as client:
        sql = (
            "SELECT version, state, reason FROM correction_versions FINAL WHERE correction = %(name)s ORDER BY version"
        )
        found: list[tuple[int, str, str]] = client.execute(sql, {"name": name})
    return found


@pytest.mark.servers
def test_what_a_directory_says_and_each_change_of_it_is_recorded_once(clickhouse: EmbeddedClickHouse) -> None:
    settings, name = settings_of(clickhouse), f"c{uuid.uuid4().hex[:10]}"
    both = [worker(settings, directory(document(name))) for _ in range(2)]
    look(both)
    look(both)
    assert versions(clickhouse, name) == [(1, "APPLIED", "moved")]
    for each in both:
        each.parts.slos = directory(document(name, "moved again"))
    look(both)
    assert versions(clickhouse, name)[1:] == [(2, "APPLIED", "moved again")]
    look([worker(settings, directory(document(name, "moved again")))])  # a start of the same
    for each in both:
        each.parts.slos = directory()
    look(both)
    assert versions(clickhouse, name)[2:] == [(3, "WITHDRAWN", PRUNED)]
    with clickhouse.client() as client:
        assert latest(client)[name].who == WHO
    look([worker(settings, directory())])
    assert len(versions(clickhouse, name)) == 3
    for each in both:
        each.parts.slos = directory(document(name, "moved again"))
    look(both)
    assert versions(clickhouse, name)[3:] == [(4, "APPLIED", "moved again")], "its file is back"


@pytest.mark.servers
def test_what_somebody_withdrew_is_said_to_stay_withdrawn(clickhouse: EmbeddedClickHouse) -> None:
    settings, name, now = settings_of(clickhouse), f"c{uuid.uuid4().hex[:10]}", datetime.now(UTC)
    found = directory(document(name)).corrections
    put_in_force(settings, found, (), True, now)
    with clickhouse.client() as client:
        settle(client, lambda known: [withdrawn(known[name], "ben", "it was us", now)])
    assert [each.what for each in put_in_force(settings, found, (), True, now)] == ["left withdrawn"]
    assert put_in_force(settings, found, (), False, now) == []


@pytest.mark.servers
@pytest.mark.parametrize("times", [1, 2])
def test_of_two_writers_that_choose_one_number_the_other_takes_the_next(
    clickhouse: EmbeddedClickHouse, times: int
) -> None:
    name, now, looks = f"c{uuid.uuid4().hex[:10]}", datetime.now(UTC), []
    ours, theirs = (directory(document(name, reason)).corrections for reason in ("ours", "theirs"))
    with clickhouse.client() as client:

        def decide(known: Mapping[str, Version]) -> list[Step]:
            """Another writer has looked when we did, and records a moment later."""
            looks.append(known.get(name))
            if len(looks) <= times:
                record(client, [applied(theirs[0], len(looks), now + timedelta(seconds=1))])
            return steps(ours, known, now)

        if times == 1:
            assert [each.what for each in settle(client, decide)] == ["changed"]
        else:
            with pytest.raises(Overtaken, match=f"others record versions of {name} at this moment"):
                settle(client, decide)
    found = [reason for _, _, reason in versions(clickhouse, name)]
    assert found == (["theirs", "ours"] if times == 1 else ["theirs", "theirs"])


@pytest.mark.servers
def test_workers_with_different_directories_speak_once_each(clickhouse: EmbeddedClickHouse) -> None:
    """As in a rollout: the former goes on, and does not take back what the newer one said."""
    settings, name = settings_of(clickhouse), f"c{uuid.uuid4().hex[:10]}"
    former = worker(settings, directory(document(name)))
    look([former])
    look([worker(settings, directory(document(name, "newer")))])
    look([former], now_s=2 * RENEW_S)
    assert [reason for *_, reason in versions(clickhouse, name)] == ["moved", "newer"]


@pytest.mark.servers
def test_what_recurs_is_written_out_further_as_time_goes_on(clickhouse: EmbeddedClickHouse) -> None:
    settings, name = settings_of(clickhouse), f"c{uuid.uuid4().hex[:10]}"
    slos = directory(document(name, more=", rrule: FREQ=WEEKLY;BYDAY=SU"))
    corrector = worker(settings, slos)
    look([corrector])
    with clickhouse.client() as client:
        (step,) = steps(slos.corrections, {}, datetime.now(UTC) - timedelta(days=90))
        assert step.row is not None
        early: Version = step.row._replace(stored_at=datetime.now(UTC))
        client.execute(f"INSERT INTO correction_versions ({', '.join(Version._fields)}) VALUES", [early])
        assert latest(client)[name].known_until == early.known_until
        look([corrector], now_s=1.0)
        assert latest(client)[name].known_until == early.known_until
        look([corrector], now_s=2 * RENEW_S)
        assert early.known_until is not None
        assert (latest(client)[name].known_until or early.known_until) > early.known_until
    assert len(versions(clickhouse, name)) == 1


def test_without_a_server_it_says_so_and_tries_again() -> None:
    nowhere = Settings(clickhouse_url="clickhouse://writer@127.0.0.1:1/burnline")
    corrector = worker(nowhere, directory(document("c1")))
    for _ in range(2):
        look([corrector])
        assert corrector.notes()[0].startswith("corrections are not in force yet: ClickHouse cannot now")
    corrector.parts.slos = directory()
    look([corrector])
    assert corrector.notes() == ()
