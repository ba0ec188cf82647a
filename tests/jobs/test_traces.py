"""Traces: every row of a file is an event or a reject that says where and why."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.traces import Mapping, MappingError, load_mapping, read_events
from jobs.traces.rows import TraceError
from jobs.traces.times import TimeError, read_time_us
from schemas import HOME
from tests.jobs.decoded import decoded

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded traces of ../shared/data are not here")

MAPPING = """
apiVersion: burnline/v1
kind: Mapping
metadata: {name: small}
spec:
  time: {field: completed_at, column: when, format: iso}
  fields:
    service: {constant: probe}
    request_model: {column: model, missing: unnamed}
    e2e_us: {column: total_ms, unit: ms}
    ttft_us: {column: first_s, unit: s}
    decode_us: {linear: {terms: {e2e_us: 1, ttft_us: -1}}}
    stream: {column: kind, map: {s: true, n: false}}
    output_tokens: {column: tokens}
    region: {file: {west: eu-west, east: us-east}}
  outcomes:
    - {when: {error: {contains: refused}}, set: {outcome: ERROR, failure_kind: UNAVAILABLE, http_status: 503}}
    - {when: {error: {empty: true}, tokens: {at_least: 1}}, set: {outcome: SUCCESS}}
    - {when: {error: {one_of: [gone, left]}, tokens: {less_than: 5}}, set: {outcome: CANCELLED}}
    - {when: {error: {equals: "?"}}, set: {outcome: UNKNOWN}}
  attributes: {made: up}
"""
HEADER = "when,model,total_ms,first_s,kind,tokens,error\n"
GOOD = "2026-01-01 00:00:01.5,m,1500,0.25,s,3,\n"


@pytest.fixture
def mapping(tmp_path: Path) -> Mapping:
    path = tmp_path / "small.yaml"
    path.write_text(MAPPING)
    return load_mapping(path)


def read_csv(tmp_path: Path, mapping: Mapping, body: str, name: str = "west.csv") -> Any:
    path = tmp_path / name
    path.write_text(HEADER + body)
    events, rejects = read_events(path, mapping)
    return decoded(events), rejects


def test_a_row_becomes_the_event_its_mapping_says(tmp_path: Path, mapping: Mapping) -> None:
    (event,), rejects = read_csv(tmp_path, mapping, GOOD)
    given = {
        "service": "probe", "request_model": "m", "e2e_us": 1_500_000, "ttft_us": 250_000,
        "decode_us": 1_250_000,
        "stream": True, "output_tokens": 3, "region": "eu-west", "outcome": "SUCCESS",
        "attributes": {"made": "up"}, "received_at": 1_767_225_600_000_000,
        "completed_at": 1_767_225_601_500_000, "emitted_at": 1_767_225_601_500_000,
        "request_id": "west.csv:2", "input_tokens": None, "tenant_id": "default", "failure_kind": "NONE",
    }  # fmt: skip
    assert {name: event[name] for name in given} == given and not rejects


AT = "2026-01-01 00:00:02,m"  #: the first two cells of a row
TWO_LINES = AT + ',1,1,s,3,"refused\nat line 3"\n' + AT + ",?,1,s,3,\n"


@pytest.mark.parametrize(
    ("body", "line", "column", "reason"),
    [
        pytest.param(f"{GOOD}{AT},1500\n", 3, "", "3 columns instead of 7", id="too few columns"),
        pytest.param(f"{GOOD}{AT},1,1,s,3,,x\n", 3, "", "8 columns instead of 7", id="too many columns"),
        pytest.param(f"{GOOD}{AT},soon,1,s,3,\n", 3, "total_ms", "'soon' is no number", id="no number"),
        pytest.param("2026-13-01 00:00:02,m,1,1,s,3,\n", 2, "when", "is not in the calendar", id="no such month"),
        pytest.param("yesterday,m,1,1,s,3,\n", 2, "when", "'yesterday' is no time such as", id="no time"),
        pytest.param(",m,1,1,s,3,\n", 2, "when", "missing, and every event has a time", id="time missing"),
        pytest.param(f"{AT},,1,s,3,\n", 2, "total_ms", "missing, and e2e_us is required", id="required missing"),
        pytest.param(f"{AT},-1,1,s,3,\n", 2, "total_ms", "'-1' is negative", id="negative duration"),
        pytest.param(f"{AT},1,nan,s,3,\n", 2, "first_s", "'nan' is not finite", id="not a number"),
        pytest.param(f"{AT},1,1,s,3000000000,\n", 2, "tokens", "is too large for output_tokens", id="too large"),
        pytest.param(f"{AT},1,1,x,3,\n", 2, "kind", "'x' is none of s, n", id="not in the map"),
        pytest.param(f"{AT},1,1,s,3,odd\n", 2, "", "no outcome rule holds", id="no rule"),
        pytest.param(TWO_LINES, 4, "total_ms", "'?' is no number", id="lines count within quotes"),
        pytest.param(f'{AT},?,1,s,3,"a\nb"\n{GOOD}', 2, "total_ms", "'?' is no number", id="a row is where it begins"),
        pytest.param(f"\n{GOOD}\nx\n", 5, "", "1 columns instead of 7", id="empty lines are no rows but count"),
    ],
)
def test_a_bad_row_is_named_and_the_others_go_on(
    tmp_path: Path, mapping: Mapping, body: str, line: int, column: str, reason: str
) -> None:
    rows = [r for r in csv.reader(body.splitlines(keepends=True)) if r]
    events, rejects = read_csv(tmp_path, mapping, body)
    assert [(reject.line, reject.column) for reject in rejects] == [(line, column)]
    assert reason in rejects[0].reason and len(events) == len(rows) - 1


@pytest.mark.parametrize(
    ("cells", "outcome"),
    [
        pytest.param("5,refused again", "ERROR", id="contains"),
        pytest.param("1,", "SUCCESS", id="empty, and at least"),
        pytest.param("4,left", "CANCELLED", id="one of, and less than"),
        pytest.param("0,?", "UNKNOWN", id="equals"),
    ],
)
def test_the_first_rule_that_holds_gives_the_outcome(
    tmp_path: Path, mapping: Mapping, cells: str, outcome: str
) -> None:
    (event,), _ = read_csv(tmp_path, mapping, f"2026-01-01 00:00:01,m,5,,n,{cells}\n")
    assert event["outcome"] == outcome and event["ttft_us"] is None


@pytest.mark.parametrize("name", ["west.jsonl", "west.jsonl.gz", "west.avro", "west.parquet", "west.csv.gz"])
def test_every_format_gives_the_same_events(tmp_path: Path, mapping: Mapping, name: str) -> None:
    names = HEADER.strip().split(",")
    cells = (
        ("2026-01-01 00:00:01", "m", 1500.5, 0.25, "s", 3, None),
        ("2026-01-01 00:00:02", None, 80.0, None, "n", 2, "gone"),
    )
    rows = [dict(zip(names, row, strict=True)) for row in cells]
    path = tmp_path / name
    plain = HEADER + "".join(",".join("" if v is None else str(v) for v in row.values()) + "\n" for row in rows)
    if "csv" in name:
        path.write_bytes(gzip.compress(plain.encode()))
    elif "jsonl" in name:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    elif name.endswith("avro"):
        kinds = (
            "string",
            ["null", "string"],
            "double",
            ["null", "double"],
            "string",
            "long",
            ["null", "string"],
        )
        fields = [{"name": n, "type": t} for n, t in zip(names, kinds, strict=True)]
        with path.open("wb") as out:
            fastavro.writer(out, {"type": "record", "name": "Row", "fields": fields}, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    (tmp_path / "west.csv").write_text(plain)
    expected, none = read_events(tmp_path / "west.csv", mapping)
    events, rejects = read_events(path, mapping)
    ids = ("event_id", "request_id")
    bare = [[{k: v for k, v in event.items() if k not in ids} for event in decoded(e)] for e in (events, expected)]
    assert bare[0] == bare[1] and len(events) == 2 and rejects == none == []


def test_lines_that_are_no_json_objects_are_named(tmp_path: Path, mapping: Mapping) -> None:
    path = tmp_path / "west.jsonl"
    path.write_text('{"when": \n[1]\n\n{"when": "2026-01-01 00:00:01", "total_ms": 5, "kind": "n", "tokens": 1}\n')
    events, rejects = read_events(path, mapping)
    assert [(r.line, r.reason[:8]) for r in rejects] == [(1, "not JSON"), (2, "expected")] and len(events) == 1
    path.write_text("[" * 50_000)
    assert [(r.line, r.reason[:8]) for r in read_events(path, mapping)[1]] == [(1, "not JSON")]


def test_a_truncated_avro_file_gives_what_was_whole(tmp_path: Path) -> None:
    path, mapping = tmp_path / "west.avro", tmp_path / "m.yaml"
    mapping.write_text(MAPPING)
    schema = {"type": "record", "name": "Row", "fields": [{"name": n, "type": ["null", "string"]}
              for n in HEADER.strip().split(",")]}  # fmt: skip
    row = dict(zip(HEADER.strip().split(","), GOOD.strip().split(","), strict=True)) | {"error": None}
    with path.open("wb") as out:
        fastavro.writer(out, schema, [row] * 500, sync_interval=1000)
    path.write_bytes(path.read_bytes()[:-700])
    events, rejects = read_events(path, mapping)
    assert 0 < len(events) < 500 and rejects[0].line == len(events) + 1
    assert "the rest of the file cannot be read" in rejects[0].reason


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b broken", b"not parquet"], ids=["empty", "broken gzip", "binary"])
@pytest.mark.parametrize("name", ["west.csv.gz", "west.parquet", "west.avro", "west.txt"])
def test_a_file_that_cannot_be_read_at_all_says_so(tmp_path: Path, mapping: Mapping, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TraceError, match="west"):
        read_events(path, mapping)


def test_ids_are_those_of_file_and_line_so_that_a_repeat_is_seen(tmp_path: Path, mapping: Mapping) -> None:
    first, again = (read_csv(tmp_path, mapping, GOOD * 3)[0] for _ in range(2))
    other = read_csv(tmp_path, mapping, GOOD * 3, "west-2.csv")[0]
    ids = [[event["event_id"] for event in events] for events in (first, again, other)]
    assert ids[0] == ids[1] and len({*ids[0], *ids[2]}) == 6


def test_a_file_name_that_the_mapping_does_not_know_is_refused(tmp_path: Path, mapping: Mapping) -> None:
    with pytest.raises(MappingError, match=r"no region for a file named north\.csv"):
        read_csv(tmp_path, mapping, GOOD, "north.csv")


@pytest.mark.parametrize(
    ("value", "written", "expected"),
    [
        pytest.param("2023-11-16 18:17:03.9799600", "iso", 1700158623979960, id="100 ns fractions"),
        pytest.param("2023-11-16 18:17:03.9799609", "iso", 1700158623979960, id="cut to the microsecond"),
        pytest.param("2023-11-16T18:17:03Z", "iso", 1700158623000000, id="Z"),
        pytest.param("2023-11-16T18:17:03.5+01:30", "iso", 1700153223500000, id="offset"),
        pytest.param("1700158623.25", "unix_s", 1700158623250000, id="seconds"),
        pytest.param(1700158623250, "unix_ms", 1700158623250000, id="milliseconds"),
        pytest.param("1700158623250001", "unix_us", 1700158623250001, id="microseconds"),
        pytest.param("19.0", "relative_s", 19_000_000, id="relative"),
    ],
)
def test_times_are_read_as_they_are_written(value: object, written: str, expected: int) -> None:
    assert read_time_us(value, written) == expected


@pytest.mark.parametrize("value", ["", "2023-02-30 00:00:00", "16/11/2023", "12:00"])
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(TimeError):
        read_time_us(value, "iso")


def test_every_problem_of_a_mapping_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("""
kind: Mapping
spec:
  time: {field: sent_at, format: guess}
  fields:
    e2e_us: {column: a, unit: fortnights}
    latency: {column: b}
    ttft_us: {column: c, constant: 1}
  outcomes: [{when: {a: {like: x}}, set: {outcome: FINE}}]
  surprise: 1
""")
    with pytest.raises(MappingError) as caught:
        load_mapping(path)
    problems = [line.removeprefix(f"{path}: ").split(": ")[0] for line in str(caught.value).splitlines()]
    assert sorted(problems) == sorted([
        "spec.surprise", "spec.time.field", "spec.time.format", "spec.time.column", "spec.fields.e2e_us.unit",
        "spec.fields.latency", "spec.fields.ttft_us", "spec.outcomes[0].when.a.like",
        "spec.outcomes[0].set.outcome",
        "spec.fields.service", "spec.fields.request_model",
    ])  # fmt: skip


@pytest.mark.parametrize("path", sorted((HOME / "mappings").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_mapping_loads_under_its_own_name(path: Path) -> None:
    assert load_mapping(path.stem).name == path.stem


RECORDED = {
    "azure-llm-2023/AzureLLMInferenceTrace_code.csv.gz": ("azure-llm-2023", {"SUCCESS": 8819}, 8819),
    "azure-llm-2023/AzureLLMInferenceTrace_conv.csv.gz": ("azure-llm-2023", {"SUCCESS": 19366}, 19366),
    "claude-agent-sessions/requests.csv.gz": (
        "claude-agent-sessions", {"SUCCESS": 45021, "UNKNOWN": 4312, "TIMEOUT": 1}, 4153),
    "deepseek-monitor/deepseek_performance.csv.gz": (
        "deepseek-monitor", {"SUCCESS": 3389, "ERROR": 2779 + 54, "REJECTED": 1264 + 267}, 3389),
    "deepseek-monitor/old_deepseek_performance.csv.gz": (
        "deepseek-monitor-old", {"SUCCESS": 3230, "REJECTED": 3}, 3230),
}  # fmt: skip


@needs_data
@pytest.mark.parametrize("file", RECORDED)
def test_every_row_of_the_recorded_traces_is_an_event_or_a_reject(file: str) -> None:
    name, outcomes, with_ttft = RECORDED[file]
    with gzip.open(DATA / file, "rt", newline="") as text:
        rows = list(csv.reader(text))[1:]
    events, rejects = read_events(DATA / file, name)
    found = decoded(events)
    assert len(events) + len(rejects) == len(rows) and not rejects
    assert Counter(event["outcome"] for event in found) == outcomes
    assert sum(event["ttft_us"] is not None for event in found) == with_ttft
    assert all(event["stream"] or event["ttft_us"] is None for event in found)
    assert all(event["received_at"] + event["e2e_us"] == event["completed_at"] for event in found)
    assert len({event["event_id"] for event in found}) == len(rows)


@needs_data
def test_deepseek_errors_are_grouped_as_the_data_page_groups_them() -> None:
    events, _ = read_events(DATA / "deepseek-monitor/deepseek_performance.csv.gz", "deepseek-monitor")
    found = decoded(events)
    assert Counter(event["error_type"] for event in found if event["error_type"]) == {
        "unusable_body": 2779, "context_window_exceeded": 1264, "insufficient_balance": 267,
        "connection_error": 54,
    }  # fmt: skip
    ttft = np.array([event["ttft_us"] for event in found if event["ttft_us"] is not None]) / 1e6
    assert np.percentile(ttft, [50, 90]).round(1).tolist() == [4.8, 56.2]
    assert {event["request_model"] for event in found} == {
        "deepseek/deepseek-chat",
        "deepseek/deepseek-reasoner",
    }


@needs_data
def test_invented_latencies_are_labelled_so() -> None:
    events, _ = read_events(DATA / "azure-llm-2023/AzureLLMInferenceTrace_code.csv.gz", "azure-llm-2023", limit=2)
    first = decoded(events)[0]
    assert first["attributes"]["latency"] == "synthetic" and first["service"] == "azure-code"
    assert first["received_at"] == 1700158623979960 and (first["input_tokens"], first["output_tokens"]) == (
        4808,
        10,
    )
    assert first["ttft_us"] == 40_000 + 100 * 4808 and first["decode_us"] == 9 * 30_000
