"""Forms of a trace: one event to one line of Mooncake's JSONL, or of Dynamo's request trace.

Pure. Prompts are never known, so their blocks are made up: of a request's cached tokens, whole blocks from the front
are those of its tenant's and model's common beginning, and all others are its own. Replayed without evictions, as
large a share of tokens hits a cache as was measured, but for the rest of a block. Law: a request has as many blocks as
its input fills, the last one perhaps in part; no two requests share any but leading blocks.

Sources: the traces of Mooncake, FAST 2025, of blocks of 512 tokens; Dynamo's dynamo.request.trace.v1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BLOCK_TOKENS = {"mooncake": 512, "dynamo": 64}
SCHEMA = "dynamo.request.trace.v1"
_MASK = (1 << 64) - 1

Event = Mapping[str, Any]


@dataclass
class Blocks:
    """Names blocks of prompts; numbers from 0 on, each given once."""

    tokens: int
    _next: int = 0
    _common: dict[tuple[str, ...], list[int]] = field(default_factory=dict)

    def of(self, event: Event) -> list[int]:
        """The blocks of one request."""
        count = -(-event["input_tokens"] // self.tokens)
        shared = min(max(event["cached_input_tokens"], 0) // self.tokens, count)
        common = self._common.setdefault((event["service"], event["request_model"], event["tenant_id"]), [])
        while len(common) < shared:
            common.append(self._new())
        return [*common[:shared], *(self._new() for _ in range(count - shared))]

    def _new(self) -> int:
        self._next += 1
        return self._next - 1


def mooncake(event: Event, blocks: list[int], first_us: int, tokens: int) -> dict[str, Any]:
    """Milliseconds since the first request, lengths, and names of blocks."""
    del tokens  # readers are told on their command line
    return {
        "timestamp": (event["received_us"] - first_us) // 1000,
        "input_length": event["input_tokens"],
        "output_length": event["output_tokens"],
        "hash_ids": blocks,
    }


def dynamo(event: Event, blocks: list[int], first_us: int, tokens: int) -> dict[str, Any]:
    """One request_end without context: each request for itself."""
    del first_us  # times are of the epoch
    request = {
        "request_id": event["event_id"],
        "x_request_id": event["request_id"],
        "model": event["request_model"],
        "input_tokens": event["input_tokens"],
        "output_tokens": event["output_tokens"],
        "cached_tokens": event["cached_input_tokens"],
        "request_received_ms": event["received_us"] // 1000,
        "prefill_wait_time_ms": _ms(event["queue_us"]),
        "prefill_time_ms": _ms(event["prefill_us"]),
        "ttft_ms": _ms(event["ttft_us"]),
        "total_time_ms": _ms(event["e2e_us"]),
        "replay": {
            "trace_block_size": tokens,
            "input_length": event["input_tokens"],
            "input_sequence_hashes": [mixed(block) for block in blocks],
        },
    }
    return {
        "schema": SCHEMA,
        "event_type": "request_end",
        "event_time_unix_ms": event["completed_us"] // 1000,
        "request": {name: value for name, value in request.items() if value is not None},
    }


def _ms(micros: int | None) -> float | None:
    return None if micros is None else micros / 1000


def mixed(number: int) -> int:
    """Spread a number over 64 bits, none twice.

    Source: splitmix64, Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    z = (number + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


FORMATS: Mapping[str, Callable[[Event, list[int], int, int], dict[str, Any]]] = {"mooncake": mooncake, "dynamo": dynamo}


class Kept(NamedTuple):
    """What is kept of a range: events, how many requests they stand for, and the least share of any."""

    events: int
    usable: int  # with tokens in and out, which a replay needs
    stands_for: float
    ratio: float  # 1: all are kept

    @property
    def is_whole(self) -> bool:
        return self.ratio >= 1
