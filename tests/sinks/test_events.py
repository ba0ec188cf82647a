"""Events that are kept whole: stored once however often they are inserted, and found by who asks for the slow ones."""

import time
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from pipeline.blocks import encode
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from pipeline.records import UnitFacts
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.store import STORED, CutSpec
from tests.derived import facts_of, slices_block
from tests.event_samples import sample
from tests.ingest_reading import framed
from tests.recorded import Recorded, block_of
from tests.sinks.storing import settings_of
from tests.test_archive import expected

pytestmark = pytest.mark.servers
NOW_US = int(time.time()) * 1_000_000
COUNT = 400


def events_of(service: str) -> list[dict[str, Any]]:
    random = Random(9)
    events = [sample(random) | {"service": service} for _ in range(COUNT)]
    for i, event in enumerate(events):
        shift = NOW_US - i * 600_000_000 - event["completed_at"]  # over three days
        event.update({name: event[name] + shift for name in ("received_at", "completed_at", "emitted_at")})
    events[7]["error_type"] = "no text: \ud800".encode("utf-8", "surrogatepass").decode("latin-1")
    return events


def records_of(events: list[dict[str, Any]], topic: str) -> list[Recorded]:
    """Four blocks of slices that carry them, and a fifth that ends the batch."""
    values = [value or b"" for value in framed(events)]
    records = []
    for i in range(5):
        mine = values[i * 100 : (i + 1) * 100]
        facts = facts_of(i % 2, 0, 10_000_000 * (i == 4), None)
        columns = slices_block(np.random.default_rng(i), 0, 0, **facts) | {
            "source_topic": topic, "event_values": b"".join(mine), "event_lengths": [len(value) for value in mine],
            "event_offsets": list(range(i * 100, i * 100 + len(mine))), "event_append_ms": [-1] * len(mine),
            "event_is_bad": [0] * len(mine), "event_ratios": [0.5] * len(mine),
        }  # fmt: skip
        records.append(Recorded(i, encode("slo_slice", columns)))
    return records


@pytest.fixture(scope="module")
def told(clickhouse: EmbeddedClickHouse) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The events of a service of its own, inserted three times."""
    service = f"whole-{NOW_US}"
    events = events_of(service)
    block = block_of(f"{service}.slo.slices", 0, records_of(events, service))
    (batch,) = STORED["slo.slices"](CutSpec()).fold([block], UnitFacts(block.topic, 0, 1, 0, 5, 0)).batches
    sink = ClickHouse(settings_of(clickhouse))
    for rows in [*batch.rows] * 3:
        sink.insert(rows, batch.token)
    sink.close()
    yield service, events


def ask(server: EmbeddedClickHouse, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    with server.client(READER) as client:
        found, columns = client.execute(sql, parameters, with_column_types=True)
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in found]


def test_an_event_is_one_row_that_says_what_the_event_says(
    clickhouse: EmbeddedClickHouse, told: tuple[str, list[dict[str, Any]]]
) -> None:
    service, events = told
    rows = ask(
        clickhouse,
        "SELECT *, toUnixTimestamp64Micro(received_at) AS received_at, toUnixTimestamp64Micro(completed_at) AS "
        "completed_at, toUnixTimestamp64Micro(emitted_at) AS emitted_at FROM events "
        "WHERE service = %(s)s ORDER BY source_offset", s=service,
    )  # fmt: skip
    assert [row["source_offset"] for row in rows] == list(range(COUNT))
    for row, event in zip(rows, events, strict=True):
        wanted = expected(event)
        wanted["itl_sketch"] = wanted["itl_sketch"] and wanted["itl_sketch"].hex().upper()
        assert {name: row[name] for name in wanted} == wanted
        assert (row["source_topic"], row["is_bad"], row["sample_ratio"]) == (service, False, 0.5)


def test_the_slow_ones_are_found_by_model_and_by_trace(
    clickhouse: EmbeddedClickHouse, told: tuple[str, list[dict[str, Any]]]
) -> None:
    service, events = told
    slowest = max(events, key=lambda event: event["e2e_us"])
    sql = "SELECT e2e_us FROM events WHERE service = %(s)s AND request_model = %(m)s ORDER BY e2e_us DESC LIMIT 1"
    assert ask(clickhouse, sql, s=service, m=slowest["request_model"]) == [{"e2e_us": slowest["e2e_us"]}]
    traced = next(event for event in events if event["trace_id"])
    sql = "SELECT e2e_us FROM events WHERE service = %(s)s AND trace_id = %(t)s"
    assert [row["e2e_us"] for row in ask(clickhouse, sql, s=service, t=traced["trace_id"])] == [traced["e2e_us"]]
