"""Cost: what tokens and accelerator time cost by a price list, in whole pico-USD (1e-12 USD).

Pure. Laws: cached, cache-write and reasoning tokens are parts of input and output and are paid once, at their own
price; what is not known costs not nothing but None; amounts are summed first and divided once, last. The price that
counts is the one in force when an event completed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from pipeline.slo import Ratio

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
MONTH_H = 730  #: 365 d / 12, as clouds count
#: ended before an engine saw them: nobody is charged for these
UNSERVED = frozenset({"SHED", "RATE_LIMITED", "REJECTED"})
NO_OVERHEAD = Ratio(0, 1)
HEADROOM = Fraction(6, 5)  #: capacity is compared with the peak and a fifth more (definitions, section 6)


class Usage(NamedTuple):
    """What one event used. None: not known."""

    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    outcome: str = "SUCCESS"


@dataclass(frozen=True)
class Price:
    """Of one model, from a moment on; pico-USD, per token but for `request`."""

    model: str
    input: int
    output: int
    cached_input: int
    cache_write: int
    reasoning: int
    request: int = 0
    provider: str = ""  # empty: of any
    from_us: int = 0


@dataclass(frozen=True)
class GpuPrice:
    """Of one accelerator for an hour, from a moment on."""

    accelerator: str
    hour: int
    from_us: int = 0


@dataclass(frozen=True)
class PriceList:
    """Prices under one version: events that were rated by it name it."""

    version: str
    prices: tuple[Price, ...] = ()
    accelerators: tuple[GpuPrice, ...] = ()
    overhead: Ratio = NO_OVERHEAD  # of accelerator time, for power, network and people
    source: str = ""
    file: str = ""

    def price(self, model: str, provider: str, at_us: int) -> Price | None:
        """The price in force: of this provider before one of any, the newest that has begun."""
        fitting = (each for each in self.prices if each.model == model and each.provider in {"", provider})
        begun = (each for each in fitting if each.from_us <= at_us)
        return max(begun, key=lambda each: (each.provider != "", each.from_us), default=None)

    def hour(self, accelerator: str, at_us: int) -> int | None:
        """Pico-USD for an hour of an accelerator, overhead not included."""
        begun = (each for each in self.accelerators if each.accelerator == accelerator and each.from_us <= at_us)
        newest = max(begun, key=lambda each: each.from_us, default=None)
        return None if newest is None else newest.hour


class Announced(NamedTuple):
    """A price change that somebody told of; model empty: of all models of the service."""

    service: str
    model: str
    at_us: int
    until_us: int | None
    title: str
    knobs: tuple[str, ...]
    epoch: str


def unlisted(prices: PriceList, told: Sequence[Announced], start_us: int) -> list[Announced]:
    """Price changes that are in force at `start_us` or come later, and that the list does not know; by time.

    It knows one that names its version as epoch, and one within a day of which a price of the model begins. Nothing is
    rated by what is announced: whoever may tell of a change could change what was charged.
    """
    lasting = sorted((each for each in told if each.until_us is None or each.until_us > start_us), key=_by_time)
    before = {(each.service, each.model): each for each in lasting if each.at_us <= start_us}  # the last one counts
    in_force = [each for each in lasting if each.at_us > start_us or before[each.service, each.model] is each]
    return [each for each in in_force if each.epoch != prices.version and not _begins(prices, each)]


def _by_time(told: Announced) -> int:
    return told.at_us


def _begins(prices: PriceList, told: Announced) -> bool:
    moments = [each.from_us for each in prices.prices if told.model in {"", each.model}]
    moments += [each.from_us for each in prices.accelerators if not told.model]
    return any(abs(moment - told.at_us) <= DAY_US for moment in moments)


def metered(usage: Usage, price: Price) -> int | None:
    """What an event costs by its tokens. None: tokens that are charged for were not counted.

    Parts that a producer counts beyond their whole are cut to it, so that nothing is ever paid twice.
    """
    if usage.outcome in UNSERVED:
        return 0
    asked, written = usage.input_tokens, usage.output_tokens
    if (asked is None and price.input) or (written is None and price.output):
        return None
    asked, written = max(asked or 0, 0), max(written or 0, 0)
    cached = min(max(usage.cached_input_tokens, 0), asked)
    stored = min(max(usage.cache_write_input_tokens, 0), asked - cached)
    thought = min(max(usage.reasoning_output_tokens, 0), written)
    return (
        price.request
        + (asked - cached - stored) * price.input
        + cached * price.cached_input
        + stored * price.cache_write
        + (written - thought) * price.output
        + thought * price.reasoning
    )


def per_1k(picousd: int | None, tokens: int | None) -> float | None:
    """USD for a thousand tokens; without any there is no such price."""
    return None if picousd is None or not tokens else 1000 * picousd / tokens / 1e12


class Range(NamedTuple):
    """What something is at least, probably and at most."""

    least: float
    likely: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Range":
        low, likely, high = sorted(values)
        return cls(low, likely, high)


class Plan(NamedTuple):
    """What it takes to keep an objective."""

    replicas: Range
    month: Range  # pico-USD
    is_least: bool  # no load was seen that broke the objective: fewer replicas may do


def plan(peak: Range, capacity: Range, replica_hour: int, is_capped: bool = False, least: int = 1) -> Plan | None:
    """Plan replicas for a peak of requests in flight. None: the objective is not kept at any load that was seen.

    `capacity`: requests in flight at one replica at which the objective is still kept; `is_capped`: none broke it, so
    that it is at least so much. Cautious and hopeful ends meet: most replicas are the greatest peak over the least
    capacity.
    """
    if capacity.least <= 0:
        return None
    replicas = Range(
        *(
            float(max(ceil(Fraction(load) * HEADROOM / Fraction(each)), least))
            for load, each in zip(peak, reversed(capacity), strict=True)
        )
    )
    return Plan(replicas, Range(*(count * replica_hour * MONTH_H for count in replicas)), is_capped)
