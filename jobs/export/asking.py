"""What an export asks of ClickHouse, an hour of arrivals at a time, so that no answer is larger than an hour.

Where events are a sample, bad ones are kept more often than good ones: to be a trace they are thinned to one share, by
a hash of their ids, so that the same range gives the same trace.
"""

from collections.abc import Iterator
from typing import Any

from clickhouse_driver import Client

from jobs.export.formats import Kept

HOUR_US = 3_600_000_000
DAY_S = 86_400  #: no request takes longer
BLOCK_ROWS = 20_000

_CHOSEN = """\
received_at >= fromUnixTimestamp64Micro({from_us:Int64}) AND received_at < fromUnixTimestamp64Micro({to_us:Int64})
    AND counted_at >= fromUnixTimestamp64Micro({from_us:Int64})
    AND counted_at < fromUnixTimestamp64Micro({to_us:Int64}) + toIntervalSecond({day_s:UInt32})
    AND ({service:String} = '' OR service = {service:String})
    AND ({model:String} = '' OR request_model = {model:String})
    AND vantage = {vantage:String} AND sample_ratio > 0"""
_USABLE = "ifNull(input_tokens, 0) > 0 AND ifNull(output_tokens, 0) > 0"
_SHARE = "(sample_ratio / greatest(sample_weight, 1))"  # that is kept of its like, by us and by a producer that samples

VANTAGE_SQL = """\
SELECT argMax(vantage, (vantage = 'GATEWAY', n)) FROM (
    SELECT vantage, count() AS n FROM events
    WHERE counted_at >= fromUnixTimestamp64Micro({from_us:Int64})
        AND counted_at < fromUnixTimestamp64Micro({to_us:Int64}) + toIntervalSecond({day_s:UInt32})
        AND ({service:String} = '' OR service = {service:String})
    GROUP BY vantage
)"""
KEPT_SQL = f"SELECT count(), countIf({_USABLE}), sum(1 / {_SHARE}), min({_SHARE}) FROM events WHERE {_CHOSEN}"
ROWS_SQL = f"""\
SELECT event_id, request_id, service, request_model, tenant_id, toUnixTimestamp64Micro(received_at) AS received_us,
    toUnixTimestamp64Micro(completed_at) AS completed_us, input_tokens, output_tokens, cached_input_tokens,
    e2e_us, ttft_us, queue_us, prefill_us
FROM events
WHERE {_CHOSEN} AND {_USABLE}
    AND cityHash64(event_id) / 18446744073709551616 < {{ratio:Float64}} / {_SHARE}
ORDER BY received_at, event_id"""
COLUMNS = (
    "event_id", "request_id", "service", "request_model", "tenant_id", "received_us", "completed_us", "input_tokens",
    "output_tokens", "cached_input_tokens", "e2e_us", "ttft_us", "queue_us", "prefill_us",
)  # fmt: skip


class Source:
    """Events of a range."""

    def __init__(self, client: Client, from_us: int, to_us: int, service: str, model: str) -> None:
        self._client, self.from_us, self.to_us = client, from_us, to_us
        self._asked: dict[str, Any] = {"service": service, "model": model, "day_s": DAY_S}
        self._asked["vantage"] = self._ask(VANTAGE_SQL, from_us, to_us)[0][0]

    def _ask(self, sql: str, from_us: int, to_us: int) -> Any:
        values = {**self._asked, "from_us": from_us, "to_us": to_us}
        return self._client.execute(sql, values, settings={"server_side_params": 1})

    def kept(self) -> Kept:
        """How much there is."""
        [(events, usable, stands_for, ratio)] = self._ask(KEPT_SQL, self.from_us, self.to_us)
        return Kept(events, usable, stands_for or 0.0, ratio if events else 1.0)

    def hours(self) -> Iterator[tuple[int, int]]:
        """Ranges that are asked one after the other."""
        start = self.from_us
        while start < self.to_us:
            end = min((start // HOUR_US + 1) * HOUR_US, self.to_us)
            yield start, end
            start = end

    def events(self, from_us: int, to_us: int, ratio: float) -> Iterator[dict[str, Any]]:
        """Events in order of arrival, thinned to one share."""
        values = {**self._asked, "from_us": from_us, "to_us": to_us, "ratio": ratio}
        settings = {"server_side_params": 1, "max_block_size": BLOCK_ROWS}
        for row in self._client.execute_iter(ROWS_SQL, values, settings=settings):
            yield dict(zip(COLUMNS, row, strict=True))
