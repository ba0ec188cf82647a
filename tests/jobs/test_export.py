"""Traces that are exported: every request once, in order, with its lengths; what was cached is shared, no more."""

import gzip
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from jobs.export.formats import BLOCK_TOKENS, SCHEMA, Blocks, dynamo, mixed, mooncake
from pipeline.cli import app
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse import HOST
from pipeline.embedded.clickhouse_config import ADMIN

NOW = datetime.now(UTC).replace(microsecond=0)
EVENT = {
    "event_id": "e1", "request_id": "r1", "service": "chat", "request_model": "m", "tenant_id": "acme",
    "received_us": 1_777_312_800_000_000, "completed_us": 1_777_312_801_000_000, "input_tokens": 129,
    "output_tokens": 16, "cached_input_tokens": 64, "e2e_us": 1_000_000, "ttft_us": 250_500, "queue_us": None,
    "prefill_us": 200_000,
}  # fmt: skip


def test_a_line_of_mooncake() -> None:
    assert mooncake(EVENT, [0, 1, 7], EVENT["received_us"] - 1_500_999, 64) == {  # type: ignore[operator]
        "timestamp": 1500, "input_length": 129, "output_length": 16, "hash_ids": [0, 1, 7],
    }  # fmt: skip


def test_a_record_of_dynamo_has_what_its_schema_asks_for_and_nothing_unknown() -> None:
    found = dynamo(EVENT, [0, 1, 7], 0, 64)
    assert (found["schema"], found["event_type"], found["event_time_unix_ms"]) == (
        SCHEMA,
        "request_end",
        1_777_312_801_000,
    )
    request = found["request"]
    assert (request["request_received_ms"], request["output_tokens"], request["ttft_ms"]) == (
        1_777_312_800_000,
        16,
        250.5,
    )
    assert "prefill_wait_time_ms" not in request  # not known
    replay = request["replay"]
    assert (replay["trace_block_size"], replay["input_length"]) == (64, 129)
    assert len(replay["input_sequence_hashes"]) == 3
    assert all(0 <= each < 1 << 64 for each in replay["input_sequence_hashes"])


requests = st.fixed_dictionaries({
    "service": st.just("s"), "request_model": st.sampled_from("mn"), "tenant_id": st.sampled_from("ab"),
    "input_tokens": st.integers(1, 60), "cached_input_tokens": st.integers(0, 80),
})  # fmt: skip


@given(st.lists(requests, max_size=15))
def test_no_two_requests_share_any_but_leading_blocks_that_were_cached(events: list[dict[str, Any]]) -> None:
    blocks = Blocks(8)
    seen: list[tuple[dict[str, Any], list[int]]] = []
    for event in events:
        mine = blocks.of(event)
        assert len(mine) == -(-event["input_tokens"] // 8) == len(set(mine))
        cached = min(event["cached_input_tokens"] // 8, len(mine))
        for other, theirs in seen:
            is_same = all(event[name] == other[name] for name in ("request_model", "tenant_id"))
            both = min(cached, other["cached_input_tokens"] // 8, len(theirs)) if is_same else 0
            assert mine[:both] == theirs[:both]
            assert set(mine) & set(theirs) == set(mine[:both])
        seen.append((event, mine))


def test_mixed_numbers_are_all_different() -> None:
    assert len({mixed(number) for number in range(10_000)}) == 10_000


# -- out of ClickHouse
@pytest.fixture(scope="module")
def environment(clickhouse: EmbeddedClickHouse) -> Iterator[dict[str, str]]:
    """A database with two services: one kept whole, one a sample in which bad events are ten times as frequent."""
    name = f"export_{uuid.uuid4().hex[:8]}"
    with clickhouse.client() as admin:
        admin.execute(f"CREATE DATABASE {name}")
        admin.execute(f"CREATE TABLE {name}.events AS event_records ENGINE = MergeTree ORDER BY counted_at")
        with clickhouse.client(database=name) as client:
            rows = [*events("whole", 300), *events("sample", 2_000)]
            client.execute(f"INSERT INTO events ({', '.join(rows[0])}) VALUES", [tuple(row.values()) for row in rows])
        yield {
            "BURNLINE_CLICKHOUSE_URL": f"clickhouse://{ADMIN}@{HOST}:{clickhouse.port}/{name}",
            "BURNLINE_CLICKHOUSE_PASSWORD_FILE": str(clickhouse.admin_password_file),
        }
        admin.execute(f"DROP DATABASE {name} SYNC")


def events(service: str, count: int) -> list[dict[str, Any]]:
    """Arrivals of three hours, out of order; every tenth has no tokens, half of a sample's are bad.

    Of the others of a sample their producer sends a fifth, of which a half is kept.
    """
    random, found = Random(service), []
    for number in range(count):
        received = NOW - timedelta(hours=3) + timedelta(seconds=random.randrange(3 * 3600))
        is_bad = service == "sample" and number % 2 == 0
        found.append({
            "event_id": f"{service}-{number}", "request_id": "r", "service": service, "request_model": "m",
            "tenant_id": "acme", "vantage": "GATEWAY", "received_at": received,
            "counted_at": received + timedelta(seconds=2), "completed_at": received + timedelta(seconds=2),
            "input_tokens": None if number % 10 == 3 else 1_000,
            "output_tokens": 50, "cached_input_tokens": 600, "e2e_us": 2_000_000, "is_bad": is_bad,
            "sample_ratio": 1.0 if service == "whole" or is_bad else 0.5,
            "sample_weight": 1 if service == "whole" or is_bad else 5,
        })  # fmt: skip
    return found


def run(environment: dict[str, str], *words: str, code: int = 0) -> Result:
    span = ("--from", (NOW - timedelta(hours=4)).isoformat(), "--to", NOW.isoformat())
    done = CliRunner().invoke(app, ["export-trace", *words, *span], env=environment)
    assert done.exit_code == code, done.output
    return done


@pytest.mark.servers
@pytest.mark.parametrize("form", sorted(BLOCK_TOKENS))
def test_every_request_with_tokens_is_written_once_in_order(
    environment: dict[str, str], tmp_path: Path, form: str
) -> None:
    out = tmp_path / "trace.jsonl.gz"
    said = json.loads(run(environment, str(out), "--format", form, "--service", "whole", "--json").stdout)
    lines = [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]
    mine = [event for event in events("whole", 300) if event["input_tokens"]]
    assert (said["events"], said["usable"], said["written"], said["ratio"]) == (300, len(mine), len(lines), 1.0)
    assert len(lines) == len(mine) == 270
    if form == "mooncake":
        arrivals = sorted(event["received_at"] for event in mine)
        assert [line["timestamp"] for line in lines] == [
            round((each - arrivals[0]).total_seconds() * 1000) for each in arrivals
        ]
        assert {(line["input_length"], line["output_length"], len(line["hash_ids"])) for line in lines} == {
            (1000, 50, 2)
        }
    else:
        assert {line["request"]["request_id"] for line in lines} == {event["event_id"] for event in mine}
        assert {len(line["request"]["replay"]["input_sequence_hashes"]) for line in lines} == {16}
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.servers
def test_a_sample_is_no_trace_until_it_is_thinned_to_one_share(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "trace.jsonl"
    refused = run(environment, str(out), "--service", "sample", code=1)
    assert "events are a sample" in refused.output and not out.exists()
    said = json.loads(
        run(environment, str(out), "--format", "dynamo", "--service", "sample", "--sampled", "--json").stdout
    )
    kept = {json.loads(line)["request"]["request_id"] for line in out.open()}
    mine = [event for event in events("sample", 2_000) if event["input_tokens"]]
    good = {event["event_id"] for event in mine if not event["is_bad"]}
    bad = {event["event_id"] for event in mine if event["is_bad"]}
    assert said["ratio"] == 0.1 and good <= kept
    assert len(kept & bad) == pytest.approx(0.1 * len(bad), rel=0.4)  # a tenth of each
    again = tmp_path / "again.jsonl"
    run(environment, str(again), "--format", "dynamo", "--service", "sample", "--sampled")
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.servers
def test_nothing_is_written_unasked(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "trace.jsonl"
    assert json.loads(run(environment, str(out), "--dry-run", "--json").stdout)["written"] == 0 and not out.exists()
    assert "none of mooncake" in " ".join(run(environment, str(out), "--format", "csv", code=2).output.split())
    lines = run(environment, "-", "--service", "whole").stdout.splitlines()
    assert len([line for line in lines if line.startswith('{"timestamp":')]) == 270
