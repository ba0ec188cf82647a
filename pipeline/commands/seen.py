"""What came in the last days, asked of ClickHouse: `slo lint --seen` and `doctor` hold SLO files against it."""

from collections.abc import Callable
from typing import Any

from pipeline.series import BASE_LABELS
from pipeline.spec.seen import Seen

DAYS = 7
SERIES_MOST = 100_000  #: with more, nothing is said about labels

REQUESTS_SQL = f"""\
SELECT {", ".join(BASE_LABELS)}, sum(requests) AS events
FROM sli_1h WHERE slice_start >= now() - INTERVAL {DAYS} DAY
GROUP BY {", ".join(BASE_LABELS)} LIMIT {SERIES_MOST + 1}"""

COUNTS_SQL = f"""\
SELECT slo, revision, sum(good) + sum(bad) AS eligible, sum(excluded) AS left_out
FROM slo_counts_1h WHERE slice_start >= now() - INTERVAL {DAYS} DAY
GROUP BY slo, revision"""


def seen(ask: Callable[[str], list[tuple[Any, ...]]]) -> Seen:
    """Ask both questions; `ask` takes SQL and returns rows."""
    series, counts = ask(REQUESTS_SQL), ask(COUNTS_SQL)
    requests = {row[:-1]: row[-1] for row in series} if len(series) <= SERIES_MOST else {}
    return Seen(DAYS, requests, {(slo, revision): (eligible, out) for slo, revision, eligible, out in counts})
