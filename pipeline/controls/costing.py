"""Cost as a signal: what a thousand output tokens of a model cost lately, and how much of what is paid stands idle.

Pure. Law: what is not known is left out, never 0; the value is metered cost where events carry any, else what replicas
cost that were up, idle time included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.controls.cost import per_1k
from pipeline.controls.questions import Rows
from pipeline.controls.signal import UNKNOWN, Signal, check_life, every
from pipeline.periods import us_of

NAME = "cost"
SPENT, IDLE = "spent", "idle"  #: states: idle, when more than that share of what is paid is
SPLIT_LEAST = 0.9  #: of what is paid: how much of it was used must be known of so much


@dataclass(frozen=True)
class CostSpec:
    """What is looked at, and from when on replicas are called idle."""

    every_s: float = 300.0
    ttl_s: float = 1_200.0
    window_s: float = 86_400.0
    idle_most_ratio: float = 0.6

    def __post_init__(self) -> None:
        check_life(self.every_s, self.ttl_s)


def step(spec: CostSpec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
    """Say what every model costs."""
    del previous
    return every(lambda row: _signal(spec, row, now_us), rows[NAME])


def _signal(spec: CostSpec, row: Mapping[str, Any], now_us: int) -> Signal:
    told = figures(row)
    value, idle = told.get("usd_per_1k_tokens", told.get("paid_usd_per_1k_tokens")), told.get("idle_ratio")
    state = UNKNOWN if value is None else IDLE if idle is not None and idle > spec.idle_most_ratio else SPENT
    return Signal(
        service=row["service"], model=row["model"], name=NAME, scope="", state=state, value=value,
        unit="USD for 1,000 output tokens", reason=reason(row, told, state), samples=row["requests"], inputs=told,
        details={"basis": "metered" if "usd_per_1k_tokens" in told else "paid" if value is not None else ""},
        evaluated_at_us=now_us, expires_at_us=now_us + round(spec.ttl_s * 1e6),
        watermark_us=min(us_of(row["until"]), now_us),  # the hour may go on
        window_s=round(spec.window_s),
    )  # fmt: skip


def figures(row: Mapping[str, Any]) -> dict[str, float]:
    """Everything that is known, by name."""
    is_metered, is_paid = row["cost_picousd"] > 0, row["paid_picousd"] > 0
    told: dict[str, float | None] = {
        "usd_per_1k_tokens": per_1k(row["cost_picousd"], row["output_tokens"]) if is_metered else None,
        "usd_per_1k_good_tokens": _of_good(row) if is_metered else None,
        "paid_usd_per_1k_tokens": per_1k(row["paid_picousd"], row["paid_tokens"]) if is_paid else None,
        "cost_usd": row["cost_picousd"] / 1e12 if is_metered else None,
        "paid_usd": row["paid_picousd"] / 1e12 if is_paid else None,
        "idle_ratio": idle_ratio(row),
        "output_tokens": row["output_tokens"],
    }
    return {name: float(figure) for name, figure in told.items() if figure is not None}


def idle_ratio(row: Mapping[str, Any]) -> float | None:
    """Share of what is paid that stood idle; None: of too much of it nobody says how long requests used it."""
    split = row["split_picousd"]
    return row["idle_picousd"] / split if split and split >= SPLIT_LEAST * row["paid_picousd"] else None


def _of_good(row: Mapping[str, Any]) -> float | None:
    good = row["good_tokens"]
    return 1000 * row["good_cost_picousd"] / good / 1e12 if good > 0 else None


def reason(row: Mapping[str, Any], told: Mapping[str, float], state: str) -> str:
    """Say it in a sentence."""
    if state == UNKNOWN:
        return "no event carries a cost, and no snapshot says what replicas cost" if row["output_tokens"] else (
            "no output tokens were counted"
        )  # fmt: skip
    said = [f"{row['output_tokens']:,} output tokens"]
    if "cost_usd" in told:
        said.append(f"{told['cost_usd']:,.4g} USD metered")
    if "paid_usd" in told:
        idle = f", {told['idle_ratio']:.0%} of it idle" if "idle_ratio" in told else ""
        said.append(f"{told['paid_usd']:,.4g} USD paid for replicas{idle}")
    return ", ".join(said)
