"""What was spent in a period, by service, model, tenant or variant: the question, and the answer as figures.

Pure. Law: what is paid and what is good is told of the hours in which it is known, beside what is known of all; a price
of nothing is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.controls.cost import Announced, PriceList, unlisted
from pipeline.controls.costing import figures
from pipeline.periods import us_of
from pipeline.slo import Ratio

#: what people say -> column of the view
BY = {"service": "service", "model": "request_model", "tenant": "tenant_id", "variant": "variant"}
HOUR_S = 3_600
SHOWN_MOST = 5

ANNOUNCED_SQL = """\
SELECT service, request_model AS model, at, until, title, knobs, ifNull(config_epoch, '') AS epoch
FROM config_changes
WHERE kind = 'PRICE' AND ({service:String} = '' OR service = {service:String})
ORDER BY at DESC LIMIT 1000"""


def sql(by: Sequence[str]) -> str:
    """Ask by some dimensions. Sums are of 128 bits: 64 end at nine million USD."""
    columns = ", ".join(f"c.{BY[name]} AS {name}" for name in by)
    return f"""\
SELECT {columns}, sum(c.requests) AS requests, sum(c.input_tokens) AS input_tokens,
    sum(c.output_tokens) AS output_tokens, sum(toInt128(c.cost_picousd)) AS cost_picousd,
    sumIf(toInt128(c.cost_picousd), c.good_tokens IS NOT NULL) AS good_cost_picousd,
    sum(ifNull(c.good_tokens, 0)) AS good_tokens, sumIf(c.output_tokens, c.good_tokens IS NOT NULL) AS judged_tokens,
    sum(toInt128(ifNull(c.paid_picousd, 0))) AS paid_picousd,
    sumIf(c.output_tokens, c.paid_picousd IS NOT NULL) AS paid_tokens,
    sum(toInt128(ifNull(c.used_picousd, 0))) AS used_picousd, sum(toInt128(ifNull(c.idle_picousd, 0))) AS idle_picousd,
    sumIf(toInt128(ifNull(c.paid_picousd, 0)), c.idle_picousd IS NOT NULL) AS split_picousd,
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


def notes(prices: PriceList, rows: Sequence[Mapping[str, Any]], start_s: int) -> list[str]:
    """Say of each announced price change that the list does not know what it is, and what to do."""
    told = [
        Announced(
            row["service"], row["model"], us_of(row["at"]), None if row["until"] is None else us_of(row["until"]),
            row["title"], tuple(row["knobs"]), row["epoch"],
        )
        for row in rows
    ]  # fmt: skip
    found = unlisted(prices, told, start_s * 1_000_000)
    said = [
        f"prices {prices.version} do not know what was announced {_announced(each)}" for each in found[-SHOWN_MOST:]
    ]
    said += [f".. nor {len(found) - SHOWN_MOST} before these"] if len(found) > SHOWN_MOST else []
    remedy = (
        "-> metered costs are what events were sent with. Write the price into a list with its `from`, and have "
        "`burnline cost rerate` rate what came since; or tell of the change with --epoch and the list's version"
    )
    return [*said, remedy] if said else []


def _announced(told: Announced) -> str:
    at = datetime.fromtimestamp(told.at_us / 1e6, UTC)
    knobs = f" ({', '.join(told.knobs)})" if told.knobs else ""
    return f"for {at:%Y-%m-%d %H:%M} UTC: {told.service}, {told.model or 'all models'}: {told.title}{knobs}"
