"""The faults: workers, broker, ClickHouse, clocks. Each is a name, what it does to a session, and how it is healed."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from pipeline.embedded.diskwatch import kept_bytes
from pipeline.topics import EVENTS, create_topics
from pipeline.transport.app import METADATA_MS
from tests import disks
from tests.chaos.crew import one_of
from tests.chaos.launcher import PHASES
from tests.chaos.proxy import COMMITS
from tests.chaos.session import SESSION_S, Fault, Session, Skipped

KILLS = 20
AWAY_S, CLICKHOUSE_AWAY_S = 30.0, 120.0
REFUSES_S, FULL_S = 10.0, 20.0
MORE_PARTITIONS = 12
MEMORY_BYTES = 128 << 20  #: that a worker may grow by while ClickHouse is away
AHEAD_US = 6_000_000  #: the farthest that events may be ahead of the append: 5 s, and a second for the unit
STEP_BACK_S = 90


# -- workers
def kill_often(session: Session) -> None:
    for _ in range(KILLS):
        session.crew.kill(session.chance)
        time.sleep(session.chance.uniform(0.3, 4.0))


def kill_once(session: Session) -> None:
    session.crew.kill(session.chance)


def sleep_past_the_session(session: Session) -> None:
    """Its partitions go to others meanwhile; it wakes up with old memory."""
    process = one_of(session.chance, session.crew.members).process
    process.send_signal(signal.SIGSTOP)
    time.sleep(SESSION_S + session.chance.uniform(4.0, 7.0))
    process.send_signal(signal.SIGCONT)


def restart_in_turn(session: Session) -> None:
    session.crew.replace_in_turn()


def scale_up_and_down(session: Session) -> None:
    session.crew.resize(3)
    time.sleep(6.0)
    session.crew.resize(1)


def die_in_a_phase(session: Session) -> None:
    """The phases in turn, the first by the seed; at which of its calls is chance."""
    phase = list(PHASES)[(session.seed + session.round) % len(PHASES)]
    call = session.chance.randint(1, 3 if "state" in phase else 25)
    doomed = session.crew.doom(phase, call)
    try:
        code = doomed.process.wait(90)
    except subprocess.TimeoutExpired:
        code = 0
    session.notes.append(f"{phase}, call {call}: ended with {code}")
    if code != -signal.SIGKILL:
        session.failures.append(f"no worker died {phase}")


# -- the broker
def stop_broker(session: Session) -> None:
    session.site.kafka.stop()


def kill_broker(session: Session) -> None:
    session.site.kafka.kill()


def start_broker(session: Session) -> None:
    session.site.kafka.start()


def lose_broker(session: Session) -> None:
    session.site.kafka.kill()
    time.sleep(AWAY_S)


def slow_network(session: Session) -> None:
    assert session.proxy
    session.proxy.delay_s = 0.15
    time.sleep(20.0)
    session.proxy.delay_s = 0.0


def refuse_commits(session: Session) -> None:
    """Half of the commits are lost on the way there, of the other half only the answers."""
    assert session.proxy
    session.proxy.refused = COMMITS
    time.sleep(15.0)
    session.proxy.refused = frozenset()
    session.notes.append(f"{session.proxy.cuts} connections cut at a commit")


def cut_network(session: Session) -> None:
    assert session.proxy
    for _ in range(8):
        session.proxy.cut()
        time.sleep(session.chance.uniform(0.2, 2.0))


def admin(session: Session) -> AdminClient:
    return AdminClient({"bootstrap.servers": session.site.kafka.brokers, "log_level": 0})


def truncate_log(session: Session) -> None:
    """Retention takes what nobody has read yet, of half of the partitions."""
    session.crew.kill_all()
    time.sleep(session.chance.uniform(5.0, 8.0))
    group = f"{session.settings.group}-ingest"
    consumer = Consumer({"bootstrap.servers": session.site.kafka.brokers, "group.id": group, "log_level": 0})
    cuts = []
    for tp in consumer.committed([TopicPartition(EVENTS, p) for p in range(0, session.plan.partitions, 2)], 10):
        end = consumer.get_watermark_offsets(tp, timeout=10)[1]
        cuts.append(TopicPartition(EVENTS, tp.partition, (tp.offset + end) // 2))
        session.lost_events += (tp.offset + end) // 2 - tp.offset
    consumer.close()
    client = admin(session)  # its futures end with it
    for future in client.delete_records(cuts, request_timeout=60, operation_timeout=60).values():
        future.result(70)


def end_leave(session: Session) -> None:
    """Workers come back, and report what was lost."""
    session.crew.is_on_leave = False
    time.sleep(1.0)
    session.crew.wait_ready()
    session.patiently(lambda: session.crew.reading("burnline_lost_offsets") == session.lost_events, 30.0)
    reported = session.crew.reading("burnline_lost_offsets")
    session.notes.append(f"{session.lost_events:,} events truncated, {reported:,.0f} reported as lost")
    if reported != session.lost_events:
        session.failures.append(f"{reported:,.0f} lost offsets reported instead of {session.lost_events:,}")


def make_topic_anew(session: Session) -> None:
    """All is counted, then the topic is deleted and created again: offsets begin at 0."""
    session.load.pause()
    session.patiently(lambda: session.watch.samples[-1].events == 0, 60.0)
    client = admin(session)
    for future in client.delete_topics([EVENTS], operation_timeout=30).values():
        future.result(30)
    session.patiently(lambda: EVENTS not in client.list_topics(timeout=10).topics, 30.0)
    time.sleep(session.chance.uniform(0.0, 3.0))
    create_topics(session.site.settings)
    session.load.go_on()


def add_partitions(session: Session) -> None:
    """Under load until workers must have found them."""
    client = admin(session)
    for future in client.create_partitions([NewPartitions(EVENTS, MORE_PARTITIONS)]).values():
        future.result(30)
    time.sleep(1.0)
    session.load.go_on(partitions=MORE_PARTITIONS)
    time.sleep(METADATA_MS / 1000 + 5.0)


# -- ClickHouse
def kill_clickhouse(session: Session) -> None:
    session.site.clickhouse.kill()


def start_clickhouse(session: Session) -> None:
    session.site.clickhouse.start()


def lose_clickhouse(session: Session) -> None:
    session.memory["rss"], session.memory["alerts"] = session.rss_bytes(), len(session.watch.alerts)
    session.site.clickhouse.kill()
    time.sleep(CLICKHOUSE_AWAY_S)
    session.memory["alerts_away"] = len(session.watch.alerts) - session.memory["alerts"]
    session.memory["rss_away"] = session.rss_bytes()


def memory_is_bounded(session: Session) -> list[str]:
    found, grown = [], session.memory["rss_away"] - session.memory["rss"]
    session.notes.append(
        f"while ClickHouse was away: {session.memory['alerts_away']} alerts, {grown / 1e6:+.0f} MB of memory"
    )
    if grown > MEMORY_BYTES:
        found.append(f"a worker grew by {grown / 1e6:.0f} MB while ClickHouse was away")
    if not session.memory["alerts_away"]:
        found.append("no alert came while ClickHouse was away")
    return found


def small_disk(session: Session) -> None:
    """A disk of its own for ClickHouse, small enough to be filled."""
    try:
        disks.mount(session.home / "site" / "clickhouse")
    except disks.NoDisk as why:
        raise Skipped(str(why)) from why


def fill_disk(session: Session) -> None:
    """A neighbour takes all but what ClickHouse needs to refuse inserts and merges in order, then the last byte too.

    The engine would take writes that fail for done, so from then on it stands still (pipeline/embedded/diskwatch.py).
    Whoever takes its last 128 MB within some 10 ms, as one can in memory (tmpfs), is faster than its watch: a neighbour
    takes 200 MB a second here.
    """
    place = session.site.clickhouse.data_dir
    disks.fill(place, left_bytes=kept_bytes(place) * 3 // 4)
    time.sleep(REFUSES_S)
    ballast = disks.fill(place)
    time.sleep(FULL_S)
    left, status = disks.free_bytes(place), psutil.Process(session.site.clickhouse.pid).status()
    session.notes.append(f"{left:,} bytes were free, ClickHouse was {status}")
    if left >= 1 << 20 or status != psutil.STATUS_STOPPED:
        session.failures.append("the disk was not full, or ClickHouse did not stand still")
    ballast.unlink()


def remove_disk(session: Session) -> None:
    disks.unmount(session.home / "site" / "clickhouse")


def refuse_inserts(session: Session) -> None:
    """First by a constraint, which may pass; then, in the next round, by a table that is not there."""
    client = session.site.clickhouse.client()
    forth, back = (
        ("ALTER TABLE counts_10s ADD CONSTRAINT chaos CHECK good < 0", "ALTER TABLE counts_10s DROP CONSTRAINT chaos"),
        ("RENAME TABLE counts_1m TO counts_hidden", "RENAME TABLE counts_hidden TO counts_1m"),
    )[session.round % 2]
    alerts, deaths = len(session.watch.alerts), len(session.crew.deaths)
    client.execute(forth)
    time.sleep(25.0)
    client.execute(back)
    client.disconnect()
    session.notes.append(
        f"{forth.partition(' counts')[0].lower()}: {len(session.watch.alerts) - alerts} alerts meanwhile, "
        f"{len(session.crew.deaths) - deaths} workers ended"
    )


def restore_old_backup(session: Session) -> None:
    """ClickHouse comes back as it was some time ago: everything since then is missing in it."""
    server = session.site.clickhouse
    backup = session.home / "backup"
    shutil.rmtree(backup, ignore_errors=True)
    server.stop()
    shutil.copytree(server.data_dir / "store", backup, symlinks=True)
    server.start()
    time.sleep(session.chance.uniform(8.0, 14.0))
    server.kill()
    shutil.rmtree(server.data_dir / "store")
    shutil.move(backup, server.data_dir / "store")
    server.start()


# -- clocks
def wait_a_while(session: Session) -> None:
    time.sleep(15.0)


def nothing_is_ahead(session: Session) -> list[str]:
    ahead_us = session.sums.ahead_us
    session.notes.append(f"event times were at most {ahead_us / 1e6:.1f} s ahead of their unit")
    return [f"the watermark was dragged ahead by {ahead_us / 1e6:.0f} s"] if ahead_us > AHEAD_US else []


def fake_clock(session: Session) -> None:
    """The wall clock of workers and ClickHouse, under our hand; events and their append times go on in peace."""
    found = [path for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not found:
        raise Skipped("a host clock that steps needs libfaketime: apt-get install libfaketime")
    clock = session.home / "clock"
    clock.write_text("+0\n")
    session.environment |= {
        "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
    }  # fmt: skip


def step_clock_back(session: Session) -> None:
    (session.home / "clock").write_text(f"-{STEP_BACK_S}\n")
    time.sleep(20.0)


def step_clock_on(session: Session) -> None:
    (session.home / "clock").write_text("+0\n")


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("worker-kill", kill_often),
        Fault("worker-zombie", sleep_past_the_session),
        Fault("worker-rolling", restart_in_turn),
        Fault("worker-scale", scale_up_and_down, workers=1),
        Fault("worker-phases", die_in_a_phase, rounds=len(PHASES)),
        Fault("broker-term", stop_broker, start_broker),
        Fault("broker-kill", kill_broker, start_broker),
        Fault("broker-away", lose_broker, start_broker),
        Fault("broker-slow", slow_network, is_proxied=True),
        Fault("broker-refuses-commits", refuse_commits, is_proxied=True),
        Fault("broker-cuts", cut_network, is_proxied=True),
        Fault("log-truncated", truncate_log, end_leave),
        Fault("topic-anew", make_topic_anew),
        Fault("partitions-added", add_partitions),
        Fault("clickhouse-kill", kill_clickhouse, start_clickhouse),
        Fault("clickhouse-away", lose_clickhouse, start_clickhouse, check=memory_is_bounded, recovery_s=360.0),
        Fault("clickhouse-full", fill_disk, prepare=small_disk, clean=remove_disk),
        Fault("clickhouse-refuses", refuse_inserts, rounds=2),
        Fault("clickhouse-restored", restore_old_backup),
        Fault("producers-skewed", wait_a_while, check=nothing_is_ahead, skews_s=(0.0, -180.0, -45.0, 150.0)),
        Fault("producer-ahead", wait_a_while, check=nothing_is_ahead, skews_s=(0.0, 0.0, 0.0, 10_800.0)),
        Fault("host-clock-back", step_clock_back, step_clock_on, prepare=fake_clock),
    )
}
#: what the short form does to one session, one after the other
SHORT = (Fault("worker-kill", kill_once), FAULTS["broker-kill"], FAULTS["clickhouse-kill"])
