"""What was spent in a period, by service, model, tenant or variant: the question, and the answer as figures.

Pure. Law: what is paid and what is good is told of the hours in which it is known, beside what is known of all; a price
of nothing is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.controls.costing import figures
from pipeline.slo import Ratio

#: what people say -> column of the view
BY = {"service": "service", "model": "request_model", "tenant": "tenant_id", "variant": "variant"}
HOUR_S = 3_600


def sql(by: Sequence[str]) -> str:
    """Ask by some dimensions."""
    columns = ", ".join(f"c.{BY[name]} AS {name}" for name in by)
    return f"""\
SELECT {columns}, sum(c.requests) AS requests, sum(c.input_tokens) AS input_tokens,
    sum(c.output_tokens) AS output_tokens, sum(c.cost_picousd) AS cost_picousd,
    sumIf(c.cost_picousd, c.good_tokens IS NOT NULL) AS good_cost_picousd,
    sum(ifNull(c.good_tokens, 0)) AS good_tokens, sumIf(c.output_tokens, c.good_tokens IS NOT NULL) AS judged_tokens,
    sum(ifNull(c.paid_picousd, 0)) AS paid_picousd, sumIf(c.output_tokens, c.paid_picousd IS NOT NULL) AS paid_tokens,
    sum(ifNull(c.used_picousd, 0)) AS used_picousd, sum(ifNull(c.idle_picousd, 0)) AS idle_picousd,
    sumIf(ifNull(c.paid_picousd, 0), c.idle_picousd IS NOT NULL) AS split_picousd,
    uniqExact(c.slice_start) AS hours, uniqExactIf(c.slice_start, c.paid_picousd IS NOT NULL) AS paid_hours
FROM cost AS c
WHERE c.slice_start >= fromUnixTimestamp({{start:Int64}}) AND c.slice_start < fromUnixTimestamp({{end:Int64}})
    AND ({{service:String}} = '' OR c.service = {{service:String}})
GROUP BY {", ".join(by)}
ORDER BY cost_picousd + paid_picousd DESC, {", ".join(by)}"""


@dataclass(frozen=True)
class Spending:
    """One row of the answer: labels, whole amounts, and prices of a thousand tokens."""

    labels: Mapping[str, str]
    row: Mapping[str, Any]
    overhead: Ratio

    @property
    def told(self) -> dict[str, Any]:
        """As JSON says it; None: not known."""
        row, prices = dict(self.row), figures(self.row)
        for name in ("paid_picousd", "used_picousd", "idle_picousd"):
            is_known = row["paid_hours"] if name == "paid_picousd" else row["split_picousd"]
            row[name] = self._with_overhead(row[name]) if is_known else None
        paid = prices.get("paid_usd_per_1k_tokens")
        return {
            **self.labels,
            **{name: row[name] for name in ("requests", "input_tokens", "output_tokens", "hours", "paid_hours")},
            "good_tokens": row["good_tokens"] if row["judged_tokens"] else None,
            "judged_tokens": row["judged_tokens"],
            **{name: row[name] for name in ("cost_picousd", "paid_picousd", "used_picousd", "idle_picousd")},
            "usd_per_1k_tokens": prices.get("usd_per_1k_tokens"),
            "usd_per_1k_good_tokens": prices.get("usd_per_1k_good_tokens"),
            "paid_usd_per_1k_tokens": None if paid is None else paid * (1 + float(self.overhead)),
            "idle_ratio": prices.get("idle_ratio"),
        }

    def _with_overhead(self, picousd: int) -> int:
        return picousd * (self.overhead.scale + self.overhead.numerator) // self.overhead.scale


def spendings(rows: Sequence[Mapping[str, Any]], by: Sequence[str], overhead: Ratio) -> list[Spending]:
    """Read the answer."""
    return [Spending({name: row[name] for name in by}, row, overhead) for row in rows]
