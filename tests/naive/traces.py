"""The recorded traces once more: each file's rows read with Python's csv, and said in plain words what they mean.

Shares nothing with jobs.traces, its mappings or the pipeline. Times in microseconds; a value that was not
recorded is None, which is neither 0 nor a failure.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

csv.field_size_limit(1 << 20)


class Request(NamedTuple):
    """One request of a trace."""

    service: str
    model: str
    outcome: str  # in the words of the `sli` view: success, error, timeout, rejected, unknown
    completed_us: int
    e2e_us: int | None
    ttft_us: int | None  # streams only
    decode_us: int | None
    tokens_in: int | None
    tokens_out: int | None

    @property
    def tpot_us(self) -> float | None:
        """Time per token after the first; one token or none has no such time."""
        if self.ttft_us is None or self.decode_us is None or (self.tokens_out or 0) < 2:
            return None
        return self.decode_us / ((self.tokens_out or 0) - 1)


def rows(path: Path) -> Iterator[list[str]]:
    """Rows under the header; line breaks in quotes belong to their row."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        reader = csv.reader(text)
        next(reader)
        yield from (row for row in reader if row)


def number(cell: str) -> int | None:
    return int(cell) if cell else None


def micro(cell: str, scale: int) -> int | None:
    return round(float(cell) * scale) if cell else None


def moment(text: str) -> int:
    """UTC; what is finer than a microsecond is cut off."""
    whole, _, fraction = text.partition(".")
    at = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000 + int((fraction + "000000")[:6])


def azure(path: Path) -> list[Request]:
    """Arrivals and tokens are real; the latencies are invented by a formula, and nothing ever fails.

    40 ms and 0.1 ms for each token of context to the first token, 30 ms for each further one.
    """
    kind = "code" if "_code" in path.name else "conv"
    found = []
    for arrived, context, generated in rows(path):
        ttft, decode = 40_000 + 100 * int(context), 30_000 * max(int(generated) - 1, 0)
        found.append(
            Request(
                f"azure-{kind}",
                f"azure-{kind}-llm",
                "success",
                moment(arrived) + ttft + decode,
                ttft + decode,
                ttft,
                decode,
                int(context),
                int(generated),
            )
        )
    return found


def agent_sessions(path: Path) -> list[Request]:
    """Sessions begin half a minute apart in the order of the file, from the first of January 2026.

    A row without api_time has no recorded end: it is unfinished. The one that took the client's whole 300 s
    and got nothing is a timeout. Only streams have a first token.
    """
    begun: dict[str, int] = {}
    found = []
    for trace, _, _, t, _, model, tokens_in, tokens_out, _, _, _, api_time, ttft, _, _ in rows(path):
        start = begun.setdefault(trace, moment("2026-01-01 00:00:00") + 30_000_000 * len(begun))
        e2e = micro(api_time, 1_000_000)
        timed_out = e2e is not None and e2e >= 300_000_000 and tokens_out == "0"
        outcome = "unknown" if e2e is None else "timeout" if timed_out else "success"
        first = micro(ttft, 1_000_000)
        found.append(
            Request(
                "agent-sessions",
                model,
                outcome,
                start + round(float(t) * 1_000_000) + (e2e or 0),
                e2e,
                first,
                None if first is None or e2e is None else e2e - first,
                number(tokens_in),
                number(tokens_out),
            )
        )
    return found


#: what an error of the probe says -> what it is: the caller's own fault is not judged, the rest is a failure
FAULTS = (
    ("ContextWindowExceeded", "rejected"), ("Insufficient Balance", "rejected"), ("Expecting value", "error"),
    ("<!DOCTYPE", "error"), ("onnection", "error"),
)  # fmt: skip


def deepseek(path: Path) -> list[Request]:
    """One probe at a time. The clock of a row is the start of its probe.

    The old file has 5 to 7 columns, the later one 7 or 8; who is not named is deepseek-chat.
    """
    found = []
    for row in rows(path):
        at, first, total, _, tokens_out, tokens_in, error, model = row + [""] * (8 - len(row))
        e2e, ttft = micro(total, 1_000), micro(first, 1_000)
        outcome = "success" if not error else next(what for words, what in FAULTS if words in error)
        assert error or e2e is not None, row
        found.append(
            Request(
                "deepseek-probe",
                model or "deepseek/deepseek-chat",
                outcome,
                moment(at) + (e2e or 0),
                e2e,
                ttft,
                None if e2e is None or ttft is None else e2e - ttft,
                number(tokens_in),
                number(tokens_out),
            )
        )
    return found


def counted(requests: Iterable[Request]) -> Counter[tuple[str, str, str]]:
    """How many of each (service, model, outcome), and under `input_tokens`, `output_tokens` their sums."""
    found: Counter[tuple[str, str, str]] = Counter()
    for each in requests:
        found[each.service, each.model, each.outcome] += 1
        found[each.service, each.model, "input_tokens"] += each.tokens_in or 0
        found[each.service, each.model, "output_tokens"] += each.tokens_out or 0
    return found


def values(requests: Iterable[Request], metric: str) -> dict[tuple[str, str], list[float]]:
    """(service, model) -> the latencies of what was answered, where there are any, sorted."""
    found: dict[tuple[str, str], list[float]] = {}
    for each in requests:
        value: Any = getattr(each, f"{metric}_us")
        if each.outcome == "success" and value is not None:
            found.setdefault((each.service, each.model), []).append(value)
    return {key: sorted(them) for key, them in found.items()}


def quantile(ordered: list[float], q: float) -> float:
    return ordered[floor(q * (len(ordered) - 1))]


def verdict(request: Request, metric: str, limit_us: int = 0, strict: bool = False) -> str:
    """Judge one request: good, bad, or excluded, which is neither."""
    what = request.outcome
    if what in ("unknown", "rejected"):
        return "excluded"
    if metric == "error_rate":
        return "good" if what == "success" else "bad"
    if what != "success":
        return "bad" if metric == "e2e" and what == "timeout" else "excluded"
    value = getattr(request, f"{metric}_us")
    if value is None:
        return "excluded"
    return "good" if value < limit_us or (value == limit_us and not strict) else "bad"
